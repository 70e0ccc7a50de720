// Keeps the part of a page fresh that changes: htmx asks for it every few seconds, and at once when the service tells of a change.
// Nothing is asked while the page is hidden, while updates are paused, or while the keyboard is in the part. Without this script
// the page stays as it was loaded.
"use strict";

(() => {
  const settle = 400; // ms, so that many changes cost one request
  let paused = false;
  let source = null;
  let timer = 0;
  let opened = []; // details that are to stay open
  let atPause = false;

  const live = () => document.getElementById("live");
  const working = () => {
    const part = live(), focused = document.activeElement;
    return part && focused && focused !== document.body && focused.id !== "pause" && part.contains(focused);
  };
  const resting = () => paused || document.hidden;

  // The button works only with this script, so it is shown by it.
  function prepare() {
    const button = document.getElementById("pause");
    if (!button) return;
    button.hidden = false;
    button.setAttribute("aria-pressed", String(paused));
    button.textContent = paused ? "Resume updates" : "Pause updates";
  }

  function pauseOrResume() {
    paused = !paused;
    prepare();
    listen();
    if (!paused) refresh();
  }

  function refresh() {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const part = live();
      if (part && part.hasAttribute("hx-get") && !resting()) htmx.trigger(part, "changed");
    }, settle);
  }

  function listen() {
    const address = document.body.dataset.events;
    if (!address) return;
    if (resting()) {
      if (source) source.close();
      source = null;
      return;
    }
    if (source) return;
    source = new EventSource(address);
    source.addEventListener("task", refresh);
    source.addEventListener("reset", refresh);
  }

  function say(text) {
    const line = document.getElementById("fresh");
    if (line) line.textContent = text;
  }

  document.addEventListener("click", (event) => {
    if (event.target.id === "pause") pauseOrResume();
  });
  document.addEventListener("visibilitychange", () => {
    listen();
    if (!resting()) refresh();
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
    prepare();
    if (atPause) document.getElementById("pause")?.focus();
  });
  for (const failure of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(failure, () => say("This is not fresh: billonce did not answer. It is asked again by itself."));
  }
  window.addEventListener("pagehide", () => {
    if (source) source.close();
    source = null;
  });

  prepare();
  listen();
})();
