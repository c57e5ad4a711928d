// What gradio 6.31 does not do with the stream in which its page hears all answers.
//
// When nothing is pending, the server says "close_stream" and ends it, and the page closes it, also where it has asked
// something new by then: that answer would be written into a stream that nobody opens. Here, such a stream goes on.
//
// Messages that arrive together, as they do after a pause of network or browser, are shown at the same time, and the
// first one may be shown last: "Working ..." for ever. Here, they are handed on one after the other.
(() => {
  const PAUSE = 30; // ms, in which a message is shown; one that comes later does not wait
  const fetched = window.fetch.bind(window);
  const awaited = new Set(); // events that were asked for and have not ended
  const early = new Set(); // events that ended before the page knew their names
  let asking = 0;
  const settled = [];

  const join = async (...request) => {
    asking += 1;
    try {
      const answer = await fetched(...request);
      const { event_id: id } = answer.ok ? await answer.clone().json() : {};
      if (id && !early.delete(id)) awaited.add(id);
      return answer;
    } finally {
      asking -= 1;
      if (!asking) settled.splice(0).forEach((go) => go());
    }
  };

  // Hand on what a stream says, up to "close_stream"; that is kept back, and returned.
  const handOn = async (stream, listener) => {
    const decoder = new TextDecoder();
    const encoder = new TextEncoder();
    const reader = stream.getReader();
    let rest = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return null;
      const messages = (rest + decoder.decode(value, { stream: true })).split('\n\n');
      rest = messages.pop();
      for (const message of messages) {
        const said = message.startsWith('data:') ? JSON.parse(message.slice(5)) : {};
        const whole = encoder.encode(`${message}\n\n`);
        if (said.msg === 'close_stream') return whole;
        if (said.msg === 'process_completed' && !awaited.delete(said.event_id)) early.add(said.event_id);
        listener.enqueue(whole);
        await new Promise((go) => setTimeout(go, PAUSE));
      }
    }
  };

  const listen = async (input, options) => {
    const request = new Request(input, options);
    const first = await fetched(request.clone());
    if (!first.ok) return first;
    const start = async (listener) => {
      try {
        for (let stream = first; ; stream = await fetched(request.clone())) {
          const close = await handOn(stream.body, listener);
          if (close) {
            while (asking) await new Promise((go) => settled.push(go));
            if (awaited.size) continue;
            listener.enqueue(close);
          }
          listener.close();
          return;
        }
      } catch (reason) {
        listener.error(reason);
      }
    };
    return new Response(new ReadableStream({ start: (listener) => void start(listener) }), first);
  };

  window.fetch = (input, options) => {
    const { pathname } = new URL(input instanceof Request ? input.url : input, document.baseURI);
    if (pathname.endsWith('/queue/join')) return join(input, options);
    if (pathname.endsWith('/queue/data')) return listen(input, options);
    return fetched(input, options);
  };
})();
