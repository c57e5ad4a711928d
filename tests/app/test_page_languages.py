"""The page in a browser of another language: labels, sentences made on the server, and errors."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from app.catalogues import catalogue
from app.text import PAPER
from mambaout.catalogue.cards import offered

pytestmark = pytest.mark.browser

# What a browser asks for, and what it gets.
WANTED = {"fr-CA": "fr", "zh-SG": "zh-CN", "zh-HK": "zh-TW"}
# Words in any language, and numbers with units, are no English sentence.
ENGLISH = re.compile(
    r"\b(?:the|and|of|with|which|choose|each|picture|is|are|this|that|from|has|have|it|its|by|for|"
    r"not|an|be|was|than|to|upload|close|remove|error|input|file)\b",
    re.IGNORECASE,
)

# Every text that is shown, and every name that a screen reader reads out.
SAID = """() => {
  const shown = (e) => e.checkVisibility({visibilityProperty: true});
  const said = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const {textContent, parentElement} = texts.currentNode;
    if (textContent.trim() && shown(parentElement)) said.push(textContent.trim());
  }
  for (const name of ['aria-label', 'title', 'alt', 'placeholder'])
    for (const e of document.querySelectorAll(`[${name}]`))
      if (shown(e)) said.push(e.getAttribute(name));
  return said;
}"""

# What is announced to screen readers for a second only, from now on.
LISTEN = """() => {
  window.__announced = new Set();
  const hear = (changes) => changes.forEach(({target}) => {
    const said = target.textContent.trim();
    if (said && (target.closest ? target : target.parentElement)?.closest('.sr-only[aria-live]'))
      window.__announced.add(said);
  });
  new MutationObserver(hear).observe(
    document.body, {subtree: true, childList: true, characterData: true});
}"""


@pytest.mark.parametrize("locale", WANTED)
def test_the_page_speaks_the_language_of_the_browser(visit, pictures, locale):
    words = catalogue(WANTED[locale]).one
    visited = visit(locale=locale, width=390)
    page = visited.page
    assert page.evaluate("document.documentElement.lang") == WANTED[locale]
    # on components, which the browser translates
    expect(page.get_by_role("button", name=words("Compare"), exact=True)).to_be_visible()
    expect(page.get_by_label(words("Left model"), exact=True).first).to_be_visible()
    expect(page.get_by_label(words("Causal"), exact=True)).to_be_visible()
    # in sentences, which the server makes
    done = words("Done in {time}.").partition("{")[0]
    expect(page.locator("#status [role=status]")).to_have_text(re.compile(f"^{done}"))
    expect(page.locator("#verdict")).to_contain_text(words("Bidirectional mixing"))
    expect(page.locator("#left-head")).to_contain_text(words("no scan"))
    page.get_by_label(words("Causal"), exact=True).click()
    visited.wait_until_done()
    expect(page.locator("#caution")).to_contain_text(words("Causal, not retrained."))
    visited.upload(pictures / "stripes.jpg")
    visited.wait_until_done()
    assert visited.widths_overrun((390,)) == []
    for tab in ("Folder", "When does it pay?", "Models"):
        visited.open_tab(words(tab))
        assert visited.widths_overrun((390,)) == []
        assert "__i18n__" not in page.content().partition("<body")[2].partition("<script")[0]
    expect(page.locator("#models-heading h2")).to_have_text(words("Models on offer"))
    # nothing was forgotten: class names and models' names are English, sentences are not
    for place in ("#status", "#verdict", "#caution", "#folder-heading", "#long-heading"):
        assert not ENGLISH.findall(page.locator(place).inner_text()), place


def test_a_visitor_may_choose_another_language(visit):
    visited = visit(locale="de-DE")
    page = visited.page
    assert page.evaluate("document.documentElement.lang") == "en"
    page.get_by_label("Causal", exact=True).click()
    visited.wait_until_done()
    page.get_by_role("link", name="Français").click()
    page.wait_for_url(re.compile(r"\?lang=fr&v=1&mix=causal$"))
    expect(page.get_by_label("Causal", exact=True)).to_be_checked()
    expect(page.get_by_role("button", name="Comparer", exact=True)).to_be_visible()
    expect(page.locator("#status [role=status]")).to_have_text(re.compile("^Terminé"))
    expect(page.get_by_role("link", name="Français")).to_have_attribute("aria-current", "true")
    page.goto(page.url.partition("?")[0])  # remembered
    expect(page.get_by_role("button", name="Comparer", exact=True)).to_be_visible()
    expect(page.locator("#status [role=status]")).to_have_text(re.compile("^Terminé"))
    # Whoever leaves a page breaks off gradio's stream to it, which its script calls an error.
    kept = [error for error in visited.errors if not re.search("abort|Connection errored", error)]
    visited.errors[:] = kept


def test_nothing_is_said_in_english_to_who_reads_french(visit, pictures, tmp_path):
    """On every tab, to eyes and to screen readers; names are names in every language."""
    visited = visit(locale="fr-FR", query="v=1&mix=causal&measure=scan")
    page = visited.page
    page.evaluate(LISTEN)
    said = {}

    def listen(place):
        said[place] = page.evaluate(SAID)

    visited.upload(pictures / "text.png")
    toast = page.get_by_test_id("toast-body")
    expect(toast).to_contain_text("Ce fichier n'est pas une image : choisissez un fichier JPEG")
    # what gradio has in English only
    expect(toast.locator(".toast-title")).to_contain_text("Erreur")
    expect(toast.get_by_label("Fermer", exact=True)).to_be_visible()
    with (tmp_path / "large.png").open("wb") as large:
        large.truncate(21 * 2**20)
    visited.upload(tmp_path / "large.png")
    expect(toast).to_contain_text("Fichiers plus grands que la taille admise, 20")
    listen("a refusal")
    visited.upload(pictures / "sun.png")
    visited.wait_until_done()
    page.get_by_role("button", name="Tester ces cartes").click()
    expect(page.locator("#trust table")).to_be_visible()
    listen("Compare")
    visited.open_tab("Loupe")
    expect(page.get_by_role("radio", name="Poids du balayage")).to_be_checked()
    expect(page.locator("#lens .mo-lens-panes")).to_contain_text("MambaOut n'a pas de")
    listen("Lens")
    visited.open_tab("Mélange")
    expect(page.locator("#mixing-reads")).to_contain_text("Au premier ordre")
    listen("Mixing")
    visited.open_tab("Dossier")
    files = [pictures / "sun.png", pictures / "cut.jpg"]
    page.set_input_files("#folder-files input[type=file]", files)
    page.locator("#folder-start").click()
    expect(page.locator("#folder-csv")).to_be_visible()
    listen("Folder")
    for tab in ("When does it pay?", "Models"):
        visited.open_tab(catalogue("fr").one(tab))
        listen(tab)
    said["announced"] = page.evaluate("[...window.__announced]")
    assert said["announced"]
    names = [PAPER, *(word for card in offered() for word in (card.title, card.licence) if word)]
    names = sorted(names, key=len, reverse=True)
    assert sum(map(len, said.values())) > 300
    english = [
        (place, sentence)
        for place, sentences in said.items()
        for sentence in sentences
        if ENGLISH.search(re.sub("|".join(map(re.escape, names)), "", sentence))
    ]
    assert english == []
    # A file that gradio's script refuses it calls an error, and asks how far its upload has come.
    refused = re.compile("maximum allowed size|404|^Response$")
    visited.errors[:] = [error for error in visited.errors if not refused.search(error)]
