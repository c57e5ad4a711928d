// Options in the address: LINK is what app/link.py fills in. One object, made when the page is open.
(() => {
  const { keys, defaults, tabs, space } = LINK;
  const asked = new URLSearchParams(location.search);
  const known = asked.get('v') === '1';
  const example = known ? Number(asked.get('ex') ?? 'none') : NaN;
  const examples = document.querySelectorAll('#examples button[data-index]').length;
  const link = {
    tab: known && tabs.includes(asked.get('tab')) ? asked.get('tab') : tabs[0],
    example: Number.isInteger(example) && example >= 0 && example < examples ? example : 0,
    query(values) {
      const query = new URLSearchParams();
      const language = new URLSearchParams(location.search).get('lang');
      if (language) query.set('lang', language);
      query.set('v', '1');
      keys.forEach((key, i) => {
        const given = values[i];
        const value = Array.isArray(given) ? given.join(',') : String(typeof given === 'boolean' ? Number(given) : given ?? '');
        if (value !== '' && value !== defaults[i]) query.set(key, value);
      });
      if (link.example) query.set('ex', String(link.example));
      if (link.tab !== tabs[0]) query.set('tab', link.tab);
      return query.toString();
    },
    write(values) {
      history.replaceState(history.state, '', `${location.pathname}?${link.query(values)}`);
    },
    async copy(values) {
      const base = space
        ? `https://huggingface.co/spaces/${space}`
        : location.origin + location.pathname;
      const address = `${base}?${link.query(values)}`;
      try {
        await navigator.clipboard.writeText(address);
        return ['', ...values];
      } catch {
        return [address, ...values];
      }
    },
  };
  // The page in another language keeps what was chosen.
  const translated = ({ target }) => {
    const other = target.closest?.('.mo-languages a[hreflang]');
    if (!other) return;
    const query = new URLSearchParams(location.search);
    query.delete('lang');
    other.href = `?${new URLSearchParams([['lang', other.hreflang], ...query])}`;
  };
  for (const kind of ['pointerdown', 'focusin']) document.addEventListener(kind, translated, true);
  window.mambaoutLink = link;
})();
