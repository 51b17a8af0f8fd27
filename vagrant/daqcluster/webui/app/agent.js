// Asks one agent for its files, in a frame of its own that can do nothing else.
//
// Agents give their answers to other origins in one way only: as a script that calls a function (?jsonp=). Whoever answers
// at the agent's address may therefore run code here. So this is a sandboxed frame: its origin is opaque, it reads nothing
// of the master's nor of the page around it, may connect to nobody, and loads scripts from this one agent's two endpoints.
// The page takes what comes out of it for data (asking.js).
"use strict";

(() => {
  const address = decodeURIComponent(location.hash.slice(1));
  // On the master's own origin, opened by somebody's link, the agent's script would have the master's rights.
  if (self.origin !== "null" || self === top || !/^(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-f:]{2,45}\]):\d{1,5}$/i.test(address)) return;

  const files = `${location.protocol}//${address}/files/`;
  const policy = document.createElement("meta");
  policy.httpEquiv = "Content-Security-Policy";
  policy.content = `script-src ${files}browse ${files}read`;
  document.head.append(policy);

  addEventListener("message", (event) => {
    if (event.source !== parent) return;
    const { number, what, query } = event.data;
    const name = `answer${number}`;
    const script = document.createElement("script");
    const end = (answer) => {
      delete self[name];
      script.remove();
      parent.postMessage({ number, ...answer }, "*");
    };
    self[name] = (found) => end({ found });
    // after the answer, where there was one: then nobody waits for this any more
    script.onload = script.onerror = () => end({ failed: true });
    // each byte of the answer is one character of ours: names and contents need not be UTF-8
    script.charset = "x-user-defined";
    script.src = `${files}${what}?${query}&jsonp=${name}`;
    document.head.append(script);
  });
  parent.postMessage({ ready: true }, "*");
})();
