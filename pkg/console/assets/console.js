// Keeps the part of a page fresh that changes: htmx asks for it every few seconds, and at once when the service tells of a change.
// Nothing is asked while the page is hidden, while updates are paused, or while the keyboard is in the part. Without this script
// the page stays as it was loaded.
"use strict";

(() => {
  const settle = 400; // ms, so that many changes cost one request
  const again = 3000; // ms, until events are asked for once more after they were refused
  let paused = false;
  let failed = false;
  let source = null;
  let timer = 0;
  let retry = 0;
  let opened = []; // details that are to stay open
  let atPause = false;

  const live = () => document.querySelector("#live[hx-get]");
  const resting = () => paused || document.hidden;
  const working = () => {
    const part = live(), focused = document.activeElement;
    return part && focused && focused.id !== "pause" && part.contains(focused);
  };

  // The button works only with this script, so it is shown by it.
  function show() {
    document.body.dataset.live = !live() ? "ended" : paused ? "paused" : failed ? "off" : "on";
    const button = document.getElementById("pause");
    if (button) {
      button.hidden = false;
      button.setAttribute("aria-pressed", String(paused));
    }
    if (!failed) return;
    const line = document.getElementById("fresh");
    if (line) line.textContent = "This is not fresh: billonce did not answer. It is asked again by itself.";
  }

  function refresh() {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const part = live();
      if (part && !resting()) htmx.trigger(part, "changed");
    }, settle);
  }

  function silence() {
    clearTimeout(retry);
    if (source) source.close();
    source = null;
  }

  function listen() {
    const address = document.body.dataset.events;
    if (!address || source || resting() || !live()) return;
    source = new EventSource(address);
    source.addEventListener("task", refresh);
    source.addEventListener("reset", refresh);
    source.addEventListener("error", () => {
      if (!source || source.readyState !== EventSource.CLOSED) return; // the browser asks again by itself
      silence();
      retry = setTimeout(listen, again);
    });
  }

  document.addEventListener("click", (event) => {
    if (event.target.id !== "pause") return;
    paused = !paused;
    if (paused) silence();
    else {
      listen();
      refresh();
    }
    show();
  });
  document.addEventListener("visibilitychange", () => {
    if (resting()) {
      silence();
      return;
    }
    listen();
    refresh();
  });
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (resting() || working()) event.preventDefault();
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (working()) event.detail.shouldSwap = false;
    opened = [...document.querySelectorAll("#live details[open]")].map((one) => one.id);
    atPause = document.activeElement?.id === "pause";
  });
  document.addEventListener("htmx:afterSwap", () => {
    for (const id of opened) {
      const one = id && document.getElementById(id);
      if (one) one.open = true;
    }
    show();
    if (atPause) document.getElementById("pause")?.focus();
    if (!live()) silence();
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    const status = event.detail.xhr.status; // 0: there was no answer
    failed = status < 200 || status > 299;
    show();
  });
  window.addEventListener("pagehide", silence);
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) listen();
  });

  show();
  listen();
})();
