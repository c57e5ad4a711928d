"""Colours and type of the page, light and dark, all text at 4.5:1 or better."""

from __future__ import annotations

import gradio as gr

ACCENT = "#1d4ed8"
ACCENT_DARKER = "#1e40af"


def theme() -> gr.themes.Base:
    """System fonts, so that nothing is fetched, and quiet surfaces, so that the maps stand out."""
    base = gr.themes.Base(
        primary_hue="blue",
        neutral_hue="zinc",
        radius_size="md",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
    return base.set(
        body_background_fill="#f5f6f8",
        body_background_fill_dark="#0e1014",
        block_background_fill="#ffffff",
        block_background_fill_dark="#171a20",
        block_border_color="#dfe2e8",
        block_border_color_dark="#2b303a",
        border_color_primary="#dfe2e8",
        border_color_primary_dark="#2b303a",
        block_label_text_color="#3f3f46",
        block_label_text_color_dark="#d4d4d8",
        block_title_text_color="#27272a",
        block_title_text_color_dark="#e4e4e7",
        block_title_text_weight="600",
        block_info_text_color="#52525b",
        block_info_text_color_dark="#a1a1aa",
        body_text_color="#18181b",
        body_text_color_dark="#f0f1f3",
        body_text_color_subdued="#52525b",
        body_text_color_subdued_dark="#a7abb4",
        input_placeholder_color="#52525b",
        input_placeholder_color_dark="#a7abb4",
        input_background_fill="#ffffff",
        input_background_fill_dark="#1f232b",
        input_border_color="#c9ced8",
        input_border_color_dark="#3a404c",
        button_primary_background_fill=ACCENT,
        button_primary_background_fill_hover=ACCENT_DARKER,
        button_primary_background_fill_dark=ACCENT,
        button_primary_background_fill_hover_dark="#2563eb",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#ffffff",
        button_secondary_background_fill="#ffffff",
        button_secondary_background_fill_hover="#eef0f4",
        button_secondary_background_fill_dark="#1f232b",
        button_secondary_background_fill_hover_dark="#2a303a",
        button_secondary_border_color="#c9ced8",
        button_secondary_border_color_dark="#3a404c",
        checkbox_label_background_fill="#ffffff",
        checkbox_label_background_fill_dark="#1f232b",
        checkbox_label_background_fill_selected="#e6edfd",
        checkbox_label_background_fill_selected_dark="#1e2f57",
        checkbox_label_border_color="#c9ced8",
        checkbox_label_border_color_dark="#3a404c",
    )
