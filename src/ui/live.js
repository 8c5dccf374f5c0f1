// Keeps a page as it is now: what has changed is asked for again, and swapped by its name. Without it all pages work.
(() => {
  "use strict";
  const root = document.currentScript.dataset.root, every = 10000, least = 1000;
  let source, timer, last = 0, asking = false, again = false, lost = null;

  const words = document.querySelector("[data-conn]")?.dataset ?? {};
  const pad = (n) => String(n).padStart(2, "0"), lang = document.documentElement.lang;
  const kept = { get: (name) => { try { return localStorage.getItem(name); } catch { return null; } },
    set: (name, value) => { try { localStorage.setItem(name, value); } catch { /* for this page alone */ } } };
  let utc = kept.get("lockstep.utc") === "1", tell = kept.get("lockstep.tell") === "1";
  let mute = kept.get("lockstep.mute") === "1";
  // in the browser's zone, or in UTC; the exact time is on hover
  function times(within) {
    const timeZone = utc ? "UTC" : undefined, day = { day: "2-digit", month: "short", timeZone };
    const clock = { hour: "2-digit", minute: "2-digit", hour12: false, timeZone };
    const today = new Date().toLocaleDateString(lang, day);
    for (const time of within.querySelectorAll("time[data-clock]")) {
      const at = new Date(time.dateTime), date = at.toLocaleDateString(lang, day);
      time.textContent = (date === today ? "" : date + " ") + at.toLocaleTimeString(lang, clock);
      time.title = at.toLocaleString(lang, { dateStyle: "full", timeStyle: "long", timeZone });
    }
  }
  function switches() {
    for (const [name, on] of [["utc", utc], ["tell", tell && window.Notification?.permission === "granted"], ["mute", mute]])
      for (const one of document.querySelectorAll(`[data-switch="${name}"]`)) {
        one.hidden = name === "tell" && !window.Notification;
        one.setAttribute("aria-pressed", on);
      }
    for (const one of document.querySelectorAll("[data-opens]")) one.hidden = false;
  }
  addEventListener("click", async (event) => {
    const name = event.target.closest("[data-switch]")?.dataset.switch;
    if (name === "utc") { utc = !utc; kept.set("lockstep.utc", utc ? "1" : "0"); times(document); }
    if (name === "tell") {
      tell = !tell && await Notification.requestPermission() === "granted";
      kept.set("lockstep.tell", tell ? "1" : "0");
    }
    if (name === "mute") { mute = !mute; kept.set("lockstep.mute", mute ? "1" : "0"); }
    if (name) switches();
    const opens = event.target.closest("[data-opens]")?.dataset.opens;
    if (opens) document.getElementById(opens).showModal();
  });
  // what somebody asked to be told: that more needs them, or that the run they look at has ended
  const needs = (title) => Number(/^\((\d+)\)/.exec(title)?.[1] ?? 0);
  function report(fresh) {
    if (!tell || window.Notification?.permission !== "granted") return;
    const ended = document.querySelector("[data-runs]") && !fresh.querySelector("[data-runs]");
    const state = fresh.querySelector('[data-live="state"]')?.textContent.trim().replace(/\s+/g, " ");
    if (ended) new Notification(fresh.querySelector("h1").textContent, { body: fresh.querySelector('[data-live="stands"] .st')?.textContent });
    else if (needs(fresh.title) > needs(document.title)) new Notification("lockstep", { body: state });
  }
  function span(s) {
    if (s < 60) return Math.max(0, s) + " s";
    if (s < 3600) return Math.floor(s / 60) + " min";
    if (s < 172800) return Math.floor(s / 3600) + " h " + pad(Math.floor(s % 3600 / 60));
    return Math.floor(s / 86400) + " " + words.sayDays;
  }
  function tick() {
    for (const time of document.querySelectorAll("time[data-ago]"))
      time.textContent = span(Math.floor((Date.now() - new Date(time.dateTime)) / 1000));
  }
  function say(text, cls) {
    const live = document.querySelector("[data-conn]");
    if (!live) return;
    live.className = "live st " + cls;
    live.querySelector("span").textContent = text;
  }
  // somebody is in it: it is left alone
  function busy(node) {
    const selection = getSelection(), focus = document.activeElement;
    if (focus && focus !== document.body && focus.id !== "main" && node.contains(focus)) return true;
    if (!selection.isCollapsed && selection.rangeCount && node.contains(selection.anchorNode)) return true;
    if (node.querySelector("details[open].sure")) return true;
    return [...node.querySelectorAll("input:not([type=hidden]),textarea")].some((one) => one.value !== one.defaultValue);
  }
  function swap(fresh) {
    report(fresh);
    document.title = fresh.title;
    const icon = document.querySelector("link[rel=icon]"), now = fresh.querySelector("link[rel=icon]");
    if (icon && now && icon.getAttribute("href") !== now.getAttribute("href")) icon.replaceWith(now.cloneNode());
    const seen = new Set();
    for (const node of document.querySelectorAll("[data-live]")) {
      const name = node.dataset.live, other = fresh.querySelector(`[data-live="${CSS.escape(name)}"]`);
      seen.add(name);
      if (!other) { if (!busy(node)) node.remove(); continue; }
      if (busy(node)) continue;
      const open = [...node.querySelectorAll("details[open][id]")].map((one) => one.id);
      const copy = document.importNode(other, true);
      for (const one of copy.querySelectorAll("details[id]")) one.open = open.includes(one.id) || one.open;
      times(copy);
      if (copy.isEqualNode(node)) continue;
      // a picture that is there is not drawn anew
      const pictures = [...node.querySelectorAll("img")];
      for (const one of copy.querySelectorAll("img")) {
        const had = pictures.find((other) => other.getAttribute("src") === one.getAttribute("src"));
        if (had) one.replaceWith(had);
      }
      node.replaceWith(copy);
    }
    const banner = fresh.querySelector('[data-live="pause"]');
    if (banner && !seen.has("pause")) {
      const copy = document.importNode(banner, true);
      times(copy);
      document.getElementById("main").prepend(copy);
    }
    tick();
    switches();
  }
  async function look() {
    if (document.hidden) { again = true; return; }
    if (asking) { again = true; return; }
    const wait = last + least - Date.now();
    if (wait > 0) { clearTimeout(timer); timer = setTimeout(look, wait); return; }
    asking = true; again = false; last = Date.now();
    try {
      const answer = await fetch(location.href, { headers: { "X-Live": "1" }, credentials: "same-origin" });
      if (answer.status === 401) { location.reload(); return; }
      if (!answer.ok) throw new Error(String(answer.status));
      swap(new DOMParser().parseFromString(await answer.text(), "text/html"));
      lost = null;
      say(source && source.readyState === 1 ? words.sayLive : words.sayAsking, source && source.readyState === 1 ? "s-fresh" : "s-late");
    } catch {
      lost ??= new Date();
      say(`${words.sayLost} ${pad(lost.getHours())}:${pad(lost.getMinutes())}, ${words.sayTrying}`, "s-bad");
    } finally {
      asking = false;
      if (again) { clearTimeout(timer); timer = setTimeout(look, least); }
    }
  }
  function listen() {
    source = new EventSource(root + "/api/events");
    source.onopen = () => { say(words.sayLive, "s-fresh"); look(); };
    source.onmessage = look;
    source.addEventListener("reset", look);
    source.onerror = () => {
      if (!lost) say(words.sayAsking, "s-late");
      if (source.readyState === 2) setTimeout(listen, every);
    };
  }
  // the next thing of a list, or the one before
  function move(by) {
    const all = [...document.querySelectorAll("main :is(tbody tr, .ask, .asks li, .now li, details.rec)")]
      .map((one) => one.querySelector("a[href],summary,button")).filter((one) => one?.checkVisibility());
    const here = all.findIndex((one) => one === document.activeElement);
    all[here < 0 ? (by > 0 ? 0 : all.length - 1) : here + by]?.focus();
  }
  const places = { h: "/", n: "/needs-you", t: "/types", r: "/runs", q: "/queue", w: "/write-back" };
  let gone = 0;
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input,select,textarea")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (mute || document.querySelector("dialog[open]")) return;
    if (event.key === "?") document.getElementById("keys")?.showModal();
    else if (event.key === "j" || event.key === "k") move(event.key === "j" ? 1 : -1);
    else if (event.key === "/") { event.preventDefault(); document.getElementById("q")?.focus(); }
    else if (event.key === "g") gone = Date.now();
    else if (Date.now() - gone < 1500 && places[event.key]) location.href = root + places[event.key];
    else if (event.key === "Escape") for (const one of document.querySelectorAll("details.sure[open]")) one.open = false;
  });
  addEventListener("visibilitychange", () => { if (!document.hidden && again) look(); });
  if (document.querySelector("[data-live]")) {
    times(document);
    tick();
    switches();
    setInterval(tick, 1000);
    setInterval(() => { if (!source || source.readyState !== 1) look(); }, every);
    // what changes with time alone
    setInterval(look, 6 * every);
    listen();
  }
})();
