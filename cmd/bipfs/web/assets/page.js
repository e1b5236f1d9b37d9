// Keeps a page up to date: it asks /live… once a second while it is looked at, and
// fills in what stands in elements with data-f, below the data-t that it is about.
"use strict";

const every = 1000;
const before = new Map(); // what had come and gone at the answer before, by torrent

// As package figure has it.
const units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
function size(n) {
  if (n < 1024) return `${n} B`;
  let i = 0;
  for (n /= 1024; n >= 1023.95 && i + 1 < units.length; i++) n /= 1024;
  return `${n.toFixed(1)} ${units[i]}`;
}

function percent(here, length) {
  if (length <= 0) return 0;
  return here >= length ? 100 : Math.min(99, Math.floor(here / length * 100));
}

function stateWords(t) {
  let words = t.complete && t.state === "dormant" ? "complete" : t.state;
  if (t.paused) words += ", paused";
  if (t.pinned) words += ", pinned";
  return words;
}

function set(within, name, text) {
  for (const e of within.querySelectorAll(`[data-f="${name}"]`)) {
    if (e.textContent !== String(text)) e.textContent = text;
  }
}

// rates are bytes a second, smoothed over some answers.
function rates(id, downloaded, uploaded) {
  const now = performance.now(), was = before.get(id);
  const next = { now, downloaded, uploaded, down: 0, up: 0 };
  if (was) {
    const seconds = (now - was.now) / 1000, old = was.smooth ? 0.6 : 0;
    next.down = old * was.down + (1 - old) * Math.max(0, downloaded - was.downloaded) / seconds;
    next.up = old * was.up + (1 - old) * Math.max(0, uploaded - was.uploaded) / seconds;
    next.smooth = true;
  }
  before.set(id, next);
  return was ? next : null;
}

function speed(rate) {
  return rate >= 100 ? `${size(Math.round(rate))}/s` : "";
}

function fillRates(within, id, o, idle) {
  const r = rates(id, o.downloaded, o.uploaded);
  if (!r) return;
  set(within, "down", speed(r.down) || idle);
  set(within, "up", speed(r.up) || idle);
}

function fillTorrent(within, t) {
  set(within, "percent", `${percent(t.here, t.length)} %`);
  if (t.length) set(within, "length", size(t.length));
  set(within, "peers", t.peers);
  set(within, "known", t.known);
  set(within, "pieces", t.pieces);
  set(within, "state", stateWords(t));
  for (const e of within.querySelectorAll('[data-f="state"]')) e.className = `state ${t.state}`;
  for (const e of within.querySelectorAll('[data-f="bar"]')) e.value = percent(t.here, t.length);
  fillRates(within, t.infohash, t, "");
}

function element(name, text, kind) {
  const e = document.createElement(name);
  e.textContent = text;
  if (kind) e.className = kind;
  return e;
}

let peersBefore = new Set(); // those of the answer before: what is known of others is forgotten

function fillPeers(peers, pieces) {
  const rows = document.querySelector('[data-f="peerrows"]');
  if (!rows) return;
  const now = new Set(peers.map((p) => `peer ${p.address}`));
  for (const id of peersBefore) if (!now.has(id)) before.delete(id);
  peersBefore = now;
  rows.replaceChildren(...peers.map((p) => {
    const row = document.createElement("tr");
    row.append(element("td", p.address), element("td", p.client), element("td", pieces ? `${p.pieces} / ${pieces}` : "", "n"),
      element("td", speed(rates(`peer ${p.address}`, p.downloaded, p.uploaded)?.down), "n"), element("td", size(p.downloaded), "n"), element("td", size(p.uploaded), "n"));
    return row;
  }));
}

function fillReaders(readers) {
  const list = document.querySelector('[data-f="readers"]');
  if (!list) return;
  list.replaceChildren(...readers.map((r) => {
    const item = document.createElement("li");
    item.append(element("b", r.program || "a program"), ` reads ${r.file} at ${percent(r.offset, r.length)} %`);
    return item;
  }));
}

// drawMap draws the pieces, row by row. Its cells are as large as fit some rows.
function drawMap(m) {
  const canvas = document.getElementById("map");
  if (!canvas || !m.cells) return;
  canvas.hidden = false;
  document.querySelector(".legend").hidden = false;
  const width = canvas.clientWidth, dense = window.devicePixelRatio || 1;
  const about = Math.max(6, Math.min(18, Math.floor(Math.sqrt(width * 150 / m.cells))));
  const gap = about > 8 ? 2 : 1, columns = Math.max(1, Math.floor((width + gap) / about)), rows = Math.ceil(m.cells / columns);
  const step = (width + gap) / columns, side = step - gap, height = Math.ceil(rows * step);
  canvas.width = Math.round(width * dense);
  canvas.height = Math.round(height * dense);
  canvas.style.height = `${height}px`;
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const empty = colour("--empty"), here = colour("--here"), coming = colour("--coming"), ahead = colour("--ahead"), text = colour("--text");
  const pen = canvas.getContext("2d");
  pen.scale(dense, dense);
  const box = (c, fill, alpha) => {
    pen.globalAlpha = alpha;
    pen.fillStyle = fill;
    pen.beginPath();
    pen.roundRect((c % columns) * step, Math.floor(c / columns) * step, side, side, Math.min(2, side / 4));
    pen.fill();
    pen.globalAlpha = 1;
  };
  const wanted = new Set(), places = new Set();
  for (const p of m.places) {
    places.add(p.at);
    for (let c = p.at; c <= p.until; c++) wanted.add(c);
  }
  const fetching = new Set(m.fetching);
  for (let c = 0; c < m.cells; c++) {
    const part = Number(m.here[c]) / 9;
    box(c, wanted.has(c) ? ahead : empty, 1);
    if (part > 0) box(c, here, 0.25 + 0.75 * part);
    if (fetching.has(c) && part < 1) box(c, coming, 1);
  }
  pen.strokeStyle = text;
  pen.lineWidth = 2;
  for (const c of places) {
    pen.strokeRect((c % columns) * step + 0.5, Math.floor(c / columns) * step + 0.5, side - 1, side - 1);
  }
  canvas.dataset.drawn = String((Number(canvas.dataset.drawn) || 0) + 1);
}

function fill(v) {
  const all = document.querySelector('[data-t="all"]');
  if (v.status) {
    set(all, "peers", v.status.peers);
    set(all, "free", size(v.status.free));
    fillRates(all, "all", v.status, "0 B/s");
    set(document, "all", v.all);
    for (const t of v.torrents) {
      const row = document.querySelector(`[data-t="${t.infohash}"]`);
      if (row) fillTorrent(row, t);
    }
    const shown = document.querySelectorAll("li[data-t]");
    if (shown.length !== v.torrents.length || [...shown].some((e, i) => e.dataset.t !== v.torrents[i].infohash)) location.reload();
    return;
  }
  const t = v.torrent, had = document.querySelector(".files") !== null;
  fillTorrent(document.querySelector("main"), t);
  set(all, "peers", t.peers);
  const r = before.get(t.infohash);
  set(all, "down", speed(r?.down) || "0 B/s");
  set(all, "up", speed(r?.up) || "0 B/s");
  fillPeers(v.peers, t.pieces);
  fillReaders(v.readers);
  drawMap(v.map);
  if (!had && t.length && document.body.dataset.resolving) location.reload();
  document.body.dataset.resolving = t.length ? "" : "yes";
}

const media = document.querySelector("video, audio");
if (media) {
  const says = (text) => set(document, "player", text);
  const clock = (s) => {
    if (!Number.isFinite(s)) return "";
    const two = (n) => String(Math.floor(n) % 60).padStart(2, "0");
    return s < 3600 ? `${Math.floor(s / 60)}:${two(s)}` : `${Math.floor(s / 3600)}:${two(s / 60)}:${two(s)}`;
  };
  const place = () => says(`${clock(media.currentTime)} of ${clock(media.duration)}`);
  media.addEventListener("waiting", () => says("waiting for the swarm"));
  media.addEventListener("playing", place);
  media.addEventListener("timeupdate", () => { if (!media.seeking) place(); });
  media.addEventListener("error", () => says("the browser cannot play this: use the playlist with a player of your own"));
}

async function keep() {
  if (!document.hidden) {
    try {
      const answer = await fetch(document.body.dataset.live, { cache: "no-store" });
      if (answer.status === 404) { location.assign("/"); return; }
      if (answer.ok) fill(await answer.json());
      document.body.classList.toggle("lost", !answer.ok);
    } catch {
      document.body.classList.add("lost");
    }
  }
  setTimeout(keep, every);
}
keep();
