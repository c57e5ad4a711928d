// The lens: panes over one picture, linked by the place that is picked. No request while playing.
const root = () => element.querySelector('.mo-lens');
const part = (name) => element.querySelector(`.mo-lens-${name}`);
const calm = window.matchMedia('(prefers-reduced-motion: reduce)');
const SILENCE = 10_000; // [ms] after which what was to follow does not: it was stopped
const state = {
  key: null, panes: [], words: {}, titles: {}, pictures: [], modes: [], place: [0.5, 0.5], lead: 0, mode: 'reads',
  // One object for all picks: what waits for another answer is asked for with what it holds by then.
  picked: {}, playing: false, asked: '', coming: false, heard: 0, paints: [], visited: [], answers: 0,
};
let tables = {};
let last = 0;
let seen = '';

const fill = (words, values) => words.replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const number = (x) => (x === null || x === undefined ? '∞' : String(Number(x.toPrecision(3))).replace('-', '−'));
const percent = (x) => (x > 0 && x < 0.005 ? '< 1 %' : `${Math.round(100 * x)} %`);
const make = (tag, name, parent) => {
  const made = document.createElement(tag);
  if (name) made.className = `mo-lens-${name}`;
  parent?.append(made);
  return made;
};
const svg = (tag, parent) => {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
  parent.append(made);
  return made;
};

/* places and patches */
const between = (x, low, high) => Math.min(high, Math.max(low, x));
function patchAt(pane, [x, y]) {
  const [left, top, right, bottom] = pane.box;
  const column = between(Math.floor(((x - left) / (right - left)) * pane.columns), 0, pane.columns - 1);
  const row = between(Math.floor(((y - top) / (bottom - top)) * pane.rows), 0, pane.rows - 1);
  return row * pane.columns + column;
}
function placeOf(pane, patch) {
  const [left, top, right, bottom] = pane.box;
  const row = Math.floor(patch / pane.columns);
  const column = patch % pane.columns;
  return [
    left + ((column + 0.5) / pane.columns) * (right - left),
    top + ((row + 0.5) / pane.rows) * (bottom - top),
  ];
}
const whole = () => state.panes.filter((pane) => !pane.error);
function leading() {
  const chosen = state.panes[state.lead];
  if (chosen && !chosen.error && chosen.walk.path) return chosen;
  return whole().find((pane) => pane.walk.path) ?? (chosen?.error ? whole()[0] : chosen);
}

/* weights */
function weights(pane, patch) {
  const size = pane.rows * pane.columns;
  if (state.mode === 'state') return null;
  if (state.mode === 'reads') {
    const row = pane.reads[patch];
    if (!row) return null;
    return Float64Array.from(row.codes, (code) => (code / 32767) * row.high);
  }
  if (pane.known < size) return null;
  const column = new Float64Array(size);
  for (let t = 0; t < size; t++) column[t] = (pane.reads[t].codes[patch] / 32767) * pane.reads[t].high;
  return column;
}
function trail(pane, patch) {
  const { order } = pane.walk;
  const kept = pane.curve.retention;
  const norm = pane.curve.state_norm;
  if (!kept || !norm) return null;
  const values = new Float64Array(pane.rows * pane.columns);
  const left = new Float64Array(values.length);
  let share = 1;
  for (let step = pane.step[patch]; step >= 0; step--) {
    if (order[step] >= 0) {
      values[order[step]] = norm[step];
      left[order[step]] = 0.12 + 0.88 * share;
    }
    share *= kept[step];
  }
  return { values, left, high: Math.max(...norm) };
}

/* words */
function spot(pane, patch, share) {
  return fill(state.words.place, {
    row: Math.floor(patch / pane.columns) + 1, column: (patch % pane.columns) + 1, share: percent(share),
  });
}
// How far one row is from another, in shares of the second.
function inWordsMoved(pane, patch, changes) {
  const words = state.words;
  const [after, before] = pane.of.map((index) => weights(state.panes[index], patch));
  const total = before.reduce((a, b) => a + Math.abs(b), 0);
  let [lost, gained, gone, least, most] = [0, 0, 0, 0, 0];
  changes.forEach((change, s) => {
    if (change < 0) lost -= change;
    else gained += change;
    if (pane.step[s] > pane.step[patch] && after[s] === 0) gone += before[s];
    if (change < changes[least]) least = s;
    if (change > changes[most]) most = s;
  });
  if (!lost && !gained) return words.same;
  const told = [fill(words.moved, {
    lost: percent(lost / total), gone: percent(gone / total), gained: percent(gained / total),
  })];
  if (lost) told.push(fill(words.falls, { place: spot(pane, least, -changes[least] / total) }));
  if (gained) told.push(fill(words.rises, { place: spot(pane, most, changes[most] / total) }));
  return told.join(' ');
}
function inWords(pane, patch, found) {
  const words = state.words;
  const row = Math.floor(patch / pane.columns);
  const where = fill(words.where, {
    row: row + 1, column: (patch % pane.columns) + 1, rows: pane.rows, columns: pane.columns,
  });
  if (state.mode === 'state') {
    if (!pane.curve.state_norm) return `${where} ${words.no_state}`;
    const step = pane.step[patch];
    return `${where} ${fill(words.state, {
      step: step + 1, all: pane.walk.order.length, norm: number(pane.curve.state_norm[step]),
      kept: step + 1 < pane.walk.order.length ? percent(pane.curve.retention[step + 1]) : percent(1),
    })}`;
  }
  if (!found) {
    const some = state.mode === 'readers' ? words.some : state.asked ? words.asked : words.waiting;
    return `${where} ${fill(some, { n: pane.known, all: pane.rows * pane.columns })}`;
  }
  if (pane.of) return `${where} ${inWordsMoved(pane, patch, found)}`;
  const size = Float64Array.from(found, Math.abs);
  const total = size.reduce((a, b) => a + b, 0);
  if (!total) return `${where} ${words.nothing}`;
  const best = Array.from(size.keys()).sort((a, b) => size[b] - size[a]);
  let n = 0;
  for (let held = 0; held < 0.9 * total && n < best.length; n++) held += size[best[n]];
  let later = 0;
  const after = pane.step[patch];
  for (let s = 0; s < size.length; s++) if (pane.step[s] > after) later += size[s];
  const sentence = words[pane.walk.path ? state.mode : `${state.mode}_raster`];
  const places = best.slice(0, 3).filter((s) => size[s] > 0).map((s) => spot(pane, s, size[s] / total));
  return [
    where,
    fill(sentence, { n, all: size.length, later: percent(later / total) }),
    fill(words.strongest, { places: places.join('; ') }),
  ].join(' ');
}

/* drawing */
function draw() {
  const start = performance.now();
  const scales = {};
  for (const pane of whole()) {
    const patch = patchAt(pane, state.place);
    pane.patch = patch;
    pane.shown = state.mode === 'state' ? trail(pane, patch) : null;
    pane.values = pane.shown?.values ?? weights(pane, patch);
    let high = pane.shown?.high ?? 0;
    // What a token reads of itself would often leave no colour for the others: it is cut off.
    if (pane.values && !pane.shown) pane.values.forEach((value, i) => { if (i !== patch) high = Math.max(high, Math.abs(value)); });
    pane.own = pane.values && !pane.shown ? Math.abs(pane.values[patch]) : 0;
    scales[pane.scale] = Math.max(scales[pane.scale] ?? 0, high || pane.own);
  }
  for (const pane of whole()) {
    const { patch, shown, values, own } = pane;
    const signed = pane.signed && state.mode !== 'state';
    const table = signed ? tables.signed : tables.plain;
    const high = scales[pane.scale];
    const image = pane.image;
    for (let i = 0; i < image.width * image.height; i++) {
      const value = values ? values[i] : 0;
      const c = high ? Math.round(255 * between(value / high, -1, 1)) + (signed ? 255 : 0) : 0;
      image.data[4 * i] = table[3 * c];
      image.data[4 * i + 1] = table[3 * c + 1];
      image.data[4 * i + 2] = table[3 * c + 2];
      image.data[4 * i + 3] = value === 0 ? 0 : 190 * (shown ? shown.left[i] : 1);
    }
    pane.context.putImageData(image, 0, 0);
    const { mark } = pane;
    mark.style.left = `${(100 * (patch % pane.columns)) / pane.columns}%`;
    mark.style.top = `${(100 * Math.floor(patch / pane.columns)) / pane.rows}%`;
    pane.told = inWords(pane, patch, values);
    pane.says.textContent = pane.told;
    pane.hit.setAttribute('aria-valuenow', patch + 1);
    pane.hit.setAttribute('aria-valuetext', pane.told);
    pane.legend.hidden = !values;
    pane.low.textContent = signed ? `${own > high ? '≤ ' : ''}${number(-high)}` : '0';
    pane.high.textContent = values ? `${own > high ? '≥ ' : ''}${number(high)}` : '';
    pane.ramp.style.background = signed ? tables.signedRamp : tables.plainRamp;
    pane.measured.textContent = state.mode === 'state' ? (shown ? state.words.visited : '') : pane.unit;
    const step = pane.step[patch];
    for (const curve of pane.curves) {
      const x = (step + 0.5) / curve.values.length;
      curve.line.setAttribute('x1', x);
      curve.line.setAttribute('x2', x);
      curve.title.textContent = fill(state.words.at, {
        title: state.titles[curve.id] ?? curve.id, value: number(curve.values[step]), unit: curve.unit,
      });
    }
  }
  const lead = leading();
  if (lead) part('at').value = lead.walked.indexOf(lead.patch);
  state.paints.push(performance.now() - start);
  if (state.paints.length > 500) state.paints.shift();
}
function tell() {
  const follows = state.coming && performance.now() - state.heard < SILENCE;
  const missing = whole().filter((pane) => !pane.reads[pane.patch] && (pane.pointed || !follows)).map((pane) => [state.panes.indexOf(pane), pane.patch]);
  // Each row is asked for once: again only where the visitor comes back to it and it has not come.
  if (state.mode !== 'state' && String(missing) !== state.asked) {
    state.asked = String(missing);
    if (state.asked) {
      state.picked.index = state.place;
      trigger('select', state.picked);
      draw();
    }
  }
  part('says').textContent = whole().map((pane) => `${pane.name}: ${pane.told}`).join(' ');
  const { dataset } = root();
  const place = state.place.map((share) => Number(share.toFixed(4))).join(',');
  if (dataset.place === place && dataset.mode === state.mode) return;
  Object.assign(dataset, { place, mode: state.mode });
  trigger('input');
}
// What a link asked for waits in two boxes beside the lens.
function restore() {
  const beside = (name) => document.querySelector(`#${element.closest('.block')?.id}-${name} textarea`)?.value;
  const [place, mode] = [beside('place'), beside('mode')];
  if (place) state.place = place.split(',').map(Number);
  if (mode) state.mode = mode;
}
function pick(pane, patch, spoken) {
  state.lead = state.panes.indexOf(pane);
  state.place = placeOf(pane, patch);
  draw();
  if (spoken) tell();
}
function follow(lead, at, spoken) {
  state.place = placeOf(lead, lead.walked[at]);
  draw();
  if (spoken) tell();
}

/* playing */
function play(on) {
  state.playing = on;
  const button = part('play');
  button.textContent = on ? '⏸' : '▶';
  button.setAttribute('aria-label', on ? state.words.pause : state.words.play);
  if (on) {
    last = 0;
    requestAnimationFrame(tick);
  }
}
function advance(spoken) {
  const lead = leading();
  if (!lead) return false;
  const at = lead.walked.indexOf(patchAt(lead, state.place)) + 1;
  if (at >= lead.walked.length) return false;
  follow(lead, at, spoken);
  state.visited.push(lead.walked[at]);
  return true;
}
function tick(now) {
  if (!state.playing || !element.isConnected) return;
  if (now - last >= 1000 / Number(part('speed').value)) {
    last = now;
    if (!advance(false)) {
      play(false);
      tell();
      return;
    }
  }
  requestAnimationFrame(tick);
}
function begin() {
  const lead = leading();
  if (!lead) return;
  if (state.playing) {
    play(false);
    tell();
  } else if (calm.matches) {
    advance(true);
  } else {
    if (lead.walked.indexOf(lead.patch) === lead.walked.length - 1) state.visited = [];
    if (!state.visited.length || lead.walked.indexOf(lead.patch) === lead.walked.length - 1) {
      follow(lead, 0, false);
      state.visited = [lead.walked[0]];
    }
    play(true);
  }
}

/* building */
function build(pane, box) {
  const figure = make('figure', 'pane', box);
  make('h3', '', figure).textContent = pane.name;
  if (pane.error) {
    make('p', 'none', figure).textContent = pane.error;
    return;
  }
  make('p', 'caption', figure).textContent = pane.walk.path
    ? `${pane.caption}. ${fill(state.words.order, { path: pane.walk.path })}` : `${pane.caption}.`;
  const frame = make('div', 'box', figure);
  const picture = make('img', '', frame);
  picture.src = state.pictures[pane.picture];
  picture.alt = pane.alt;
  const canvas = make('canvas', '', frame);
  canvas.width = pane.columns;
  canvas.height = pane.rows;
  pane.context = canvas.getContext('2d');
  pane.image = pane.context.createImageData(pane.columns, pane.rows);
  pane.mark = make('span', 'mark', frame);
  pane.mark.style.width = `${100 / pane.columns}%`;
  pane.mark.style.height = `${100 / pane.rows}%`;
  pane.hit = make('div', 'hit', frame);
  const size = pane.rows * pane.columns;
  for (const [name, value] of Object.entries({
    role: 'slider', tabindex: 0, 'aria-valuemin': 1, 'aria-valuemax': size,
    'aria-label': fill(state.words.picker, { name: pane.name }),
  })) pane.hit.setAttribute(name, value);
  const legend = make('div', 'legend', figure);
  pane.legend = legend;
  pane.low = make('span', '', legend);
  pane.ramp = make('i', '', legend);
  pane.high = make('span', '', legend);
  pane.measured = make('small', '', legend);
  pane.says = make('p', 'words', figure);
  const curves = make('div', 'curves', figure);
  pane.reads = new Array(size);
  pane.known = 0;
  pane.step = new Array(size).fill(-1);
  pane.walk.order.forEach((patch, step) => { if (patch >= 0) pane.step[patch] = step; });
  pane.walked = pane.walk.order.filter((patch) => patch >= 0);
  pane.curve = {};
  pane.curves = pane.walk.curves.map((curve) => {
    pane.curve[curve.id] = curve.values;
    const row = make('div', 'curve', curves);
    const title = make('span', '', row);
    const known = curve.values.filter((value) => value !== null);
    const [least, most] = [Math.min(...known), Math.max(...known)];
    make('small', '', row).textContent = fill(state.words.range, { least: number(least), most: number(most) });
    const drawing = svg('svg', row);
    drawing.setAttribute('viewBox', '0 0 1 1');
    drawing.setAttribute('preserveAspectRatio', 'none');
    drawing.setAttribute('aria-hidden', 'true');
    const points = curve.values.map((value, i) =>
      `${(i + 0.5) / curve.values.length} ${0.94 - 0.88 * (value === null ? 1 : (value - least) / (most - least || 1))}`);
    svg('path', drawing).setAttribute('d', `M${points.join('L')}`);
    const line = svg('line', drawing);
    line.setAttribute('y1', 0);
    line.setAttribute('y2', 1);
    return { ...curve, title, line };
  });
  for (const note of pane.notes) make('p', '', figure).textContent = note;
  listen(pane);
}
function listen(pane) {
  const { hit } = pane;
  const under = (event) => {
    const box = hit.getBoundingClientRect();
    const column = between(Math.floor(((event.clientX - box.left) / box.width) * pane.columns), 0, pane.columns - 1);
    const row = between(Math.floor(((event.clientY - box.top) / box.height) * pane.rows), 0, pane.rows - 1);
    return row * pane.columns + column;
  };
  hit.addEventListener('pointerdown', (event) => {
    hit.setPointerCapture(event.pointerId);
    play(false);
    pick(pane, under(event), false);
  });
  hit.addEventListener('pointermove', (event) => {
    if (event.buttons & 1) pick(pane, under(event), false);
  });
  hit.addEventListener('pointerup', tell);
  hit.addEventListener('keydown', (event) => {
    const { rows, columns, walked } = pane;
    const row = Math.floor(pane.patch / columns);
    const column = pane.patch % columns;
    const to = {
      ArrowRight: [row, column + 1], ArrowLeft: [row, column - 1],
      ArrowDown: [row + 1, column], ArrowUp: [row - 1, column],
    }[event.key];
    const end = { Home: walked[0], End: walked[walked.length - 1] }[event.key];
    if (!to && end === undefined) return;
    event.preventDefault();
    play(false);
    pick(pane, to ? between(to[0], 0, rows - 1) * columns + between(to[1], 0, columns - 1) : end, false);
  });
  hit.addEventListener('keyup', tell);
}
function bar() {
  const modes = part('modes');
  modes.replaceChildren();
  modes.setAttribute('aria-label', state.words.modes);
  modes.hidden = state.modes.length < 2;
  part('bar').hidden = !state.modes.includes('state');
  for (const mode of state.modes) {
    const label = make('label', '', modes);
    const radio = make('input', '', label);
    radio.type = 'radio';
    radio.name = `${element.id || 'lens'}-mode`;
    radio.checked = mode === state.mode;
    radio.addEventListener('change', () => { state.mode = mode; draw(); tell(); });
    label.append(state.words[`mode_${mode}`]);
  }
  const speed = part('speed');
  if (!speed.options.length) for (const rate of [4, 12, 30]) speed.add(new Option('', rate, rate === 12, rate === 12));
  for (const option of speed.options) option.textContent = fill(state.words.rate, { n: option.value });
  speed.setAttribute('aria-label', state.words.speed);
  part('next').textContent = state.words.next;
  part('at').setAttribute('aria-label', state.words.position);
  part('count').textContent = state.words.count;
  part('play').onclick = begin;
  part('next').onclick = () => { play(false); advance(true); };
  part('at').oninput = () => { play(false); follow(leading(), Number(part('at').value), false); };
  part('at').onchange = tell;
}
function ramp(table, count) {
  const stops = [];
  for (let i = 0; i <= 16; i++) {
    const c = 3 * Math.round((i / 16) * (count - 1));
    stops.push(`rgb(${table[c]} ${table[c + 1]} ${table[c + 2]})`);
  }
  return `linear-gradient(90deg, ${stops.join(', ')})`;
}
function load() {
  // A string, which gradio neither takes apart nor sends in pieces; the same one may come twice.
  if (!props.value || props.value === seen) return;
  seen = props.value;
  const value = JSON.parse(seen);
  if (state.key === null) restore();
  if (value.key !== state.key) {
    const { key, panes, words, titles, pictures, modes } = value;
    Object.assign(state, { key, panes, words, titles, pictures, modes, visited: [], asked: '' });
    if (!modes.includes(state.mode)) [state.mode] = modes;
    tables = { plain: bytes(value.colours.plain), signed: bytes(value.colours.signed) };
    tables.plainRamp = ramp(tables.plain, 256);
    tables.signedRamp = ramp(tables.signed, 511);
    const box = part('panes');
    box.replaceChildren();
    let line = box;
    state.panes.forEach((pane, index) => {
      pane.scale ??= index;
      if (pane.line && pane.line !== state.panes[index - 1]?.line) line = make('div', 'line', box);
      build(pane, line);
    });
    bar();
    play(false);
    root().hidden = false;
    const lead = leading();
    if (lead) part('at').max = lead.walked.length - 1;
  }
  state.coming = value.coming;
  state.heard = performance.now();
  for (const rows of value.rows) {
    const pane = state.panes[rows.pane];
    const size = pane.rows * pane.columns;
    const codes = new Int16Array(bytes(rows.codes).buffer);
    rows.patches.forEach((patch, i) => {
      if (!pane.reads[patch]) pane.known += 1;
      pane.reads[patch] = { codes: codes.subarray(i * size, (i + 1) * size), high: rows.high[i] };
    });
  }
  draw();
  if (value.coming) return;
  state.answers += 1;
  tell();
}
element.__lens = { state, leading, patchAt };
watch('value', load);
load();
