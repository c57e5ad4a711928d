// What gradio writes in English in every language; WORDS is what app/gradio_words.py fills in.
() => {
  const words = WORDS[document.documentElement.lang];
  if (!words) return;
  const told = (said) => {
    if (words[said]) return words[said];
    const of = Object.keys(words).find((key) => key.endsWith('{label}') && said.startsWith(key.slice(0, -7)));
    return of && words[of].replace('{label}', () => said.slice(of.length - 7));
  };
  const names = ['aria-label', 'title'];
  const name = (element) => names.forEach((attribute) => {
    const ours = told(element.getAttribute(attribute) ?? '');
    if (ours) element.setAttribute(attribute, ours);
  });
  const toast = (element) => element.childNodes.forEach((node) => {
    const ours = told(node.nodeValue?.trim() ?? '');
    if (ours) node.nodeValue = ours;
  });
  const look = (element) => {
    name(element);
    element.querySelectorAll('[aria-label], [title]').forEach(name);
    element.querySelectorAll('.toast-title, [data-testid=toast-text]').forEach(toast);
  };
  new MutationObserver((changes) => {
    for (const { type, target, addedNodes } of changes) {
      if (type === 'attributes') name(target);
      else addedNodes.forEach((node) => node.nodeType === Node.ELEMENT_NODE && look(node));
    }
  }).observe(document.body, { subtree: true, childList: true, attributeFilter: names });
  look(document.body);
}
