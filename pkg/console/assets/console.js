// Keeps the part of a page fresh that changes: htmx asks for it every few seconds, and soon after the service tells of a change.
// Nothing is asked while the page is hidden, while updates are paused, or while the keyboard is in the part. Without this script
// the page stays as it was loaded.
"use strict";

(() => {
  // All in ms. However many changes come, one request is under way at most, and between two of them there is a rest.
  const settle = 400; // after a change, so that what comes with it is seen by the same request
  const rest = 2000; // after a request
  const every = 5000; // after a request, when no change is told of
  const again = 3000; // until events are asked for once more after they were refused
  let paused = false;
  let failed = false;
  let source = null;
  let timer = 0;
  let retry = 0;
  let asking = false; // a request is under way
  let ended = performance.now() - rest; // when the last request did; the page itself is none
  let changed = false; // something has, since the last request began
  let told = 0; // when the first such change was
  let opened = []; // details that are to stay open
  let atPause = false;

  const live = () => document.querySelector("#live[hx-get]");
  const resting = () => paused || document.hidden;
  const working = () => {
    const part = live(), focused = document.activeElement;
    return Boolean(part && focused && focused.id !== "pause" && part.contains(focused));
  };

  // The button works only with this script, so it is shown by it.
  function show() {
    document.body.dataset.live = !live() ? "ended" : paused ? "paused" : failed ? "off" : working() ? "held" : "on";
    const button = document.getElementById("pause");
    if (button) {
      button.hidden = false;
      button.setAttribute("aria-pressed", String(paused));
    }
    const held = document.getElementById("held");
    if (held) held.hidden = document.body.dataset.live !== "held";
    if (!failed) return;
    const line = document.getElementById("fresh");
    if (line) line.textContent = "This is not fresh: billonce did not answer. It is asked again by itself.";
  }

  // plan sets the one timer for the next request. While one is under way there is none: its end plans the next.
  function plan() {
    clearTimeout(timer);
    if (asking || resting() || !live()) return;
    const at = changed ? Math.max(told + settle, ended + rest) : ended + every;
    timer = setTimeout(ask, Math.max(0, at - performance.now()));
  }

  function ask() {
    const part = live();
    if (!part || asking || resting()) return;
    if (!working()) htmx.trigger(part, "changed");
    if (!asking) timer = setTimeout(ask, every); // or when the focus leaves
  }

  // change notes that something has changed. What is planned already is not put off.
  function change() {
    if (changed) return;
    changed = true;
    told = performance.now();
    plan();
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
    source.addEventListener("task", change);
    source.addEventListener("reset", change);
    source.addEventListener("error", () => {
      if (!source || source.readyState !== EventSource.CLOSED) return; // the browser asks again by itself
      silence();
      retry = setTimeout(listen, again);
    });
  }

  // resume goes on after a rest, in which anything may have happened.
  function resume() {
    if (resting()) {
      silence();
      plan();
      return;
    }
    listen();
    changed = false;
    change();
  }

  document.addEventListener("click", (event) => {
    if (event.target.id !== "pause") return;
    paused = !paused;
    resume();
    show();
  });
  document.addEventListener("visibilitychange", resume);
  for (const moved of ["focusin", "focusout"]) {
    document.addEventListener(moved, () => setTimeout(() => { // by then the focus is where it goes
      if (document.body.dataset.live === "held" && !working()) plan();
      show();
    }, 0));
  }
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (asking || resting() || working()) {
      event.preventDefault();
      return;
    }
    asking = true;
    changed = false;
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (working()) {
      event.detail.shouldSwap = false;
      changed = true; // it is still to be seen
    }
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
    asking = false;
    ended = performance.now();
    plan();
    show();
  });
  window.addEventListener("pagehide", silence);
  window.addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    asking = false; // whatever was under way ended with the page
    resume();
  });

  show();
  plan();
  listen();
})();
