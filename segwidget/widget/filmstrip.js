// A strip of thumbnails; only those in sight are in the page, and only they are asked for.
const MARKS = { done: "✓", accepted: "✓✓", rejected: "✕", failed: "!" };
const WORDS = { todo: "to do", done: "done", accepted: "accepted", rejected: "rejected", failed: "cannot be opened" };
const STEP = 116; // CSS pixels from one cell to the next, as in app.css
const BEYOND = 4; // cells on either side of what is in sight

function save(name, data) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([data]));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

export default {
  initialize({ model }) {
    // Once for a page, however many views there are.
    const heard = (content, buffers) => {
      if (content?.op === "save") save(String(content.name), buffers[0]);
    };
    model.on("msg:custom", heard);
    return () => model.off("msg:custom", heard);
  },

  render({ model, el }) {
    const strip = document.createElement("div");
    strip.className = "segwidget-film";
    strip.setAttribute("role", "group");
    strip.setAttribute("aria-label", "Images");
    const track = document.createElement("div");
    track.className = "segwidget-film-track";
    const empty = document.createElement("p");
    empty.textContent = "No image passes the filters.";
    strip.append(track);
    el.append(strip, empty);

    const cells = new Map(); // index -> button
    const thumbs = new Map(); // index -> object URL
    let asked = "";

    const forget = () => {
      for (const url of thumbs.values()) URL.revokeObjectURL(url);
      thumbs.clear();
      cells.clear();
      track.replaceChildren();
      asked = "";
    };

    const make = (index) => {
      const cell = document.createElement("button");
      cell.type = "button";
      cell.className = "segwidget-film-cell";
      cell.style.left = `${index * STEP}px`;
      const picture = document.createElement("img");
      picture.alt = "";
      picture.draggable = false;
      const mark = document.createElement("span");
      mark.className = "segwidget-film-mark";
      const count = document.createElement("span");
      count.className = "segwidget-film-count";
      const name = document.createElement("span");
      name.className = "segwidget-film-name";
      cell.append(picture, mark, count, name);
      cell.addEventListener("click", () => model.send({ op: "open", index, version: model.get("version") }));
      return cell;
    };

    const range = () => {
      const total = model.get("total");
      const first = Math.max(0, Math.floor(strip.scrollLeft / STEP) - BEYOND);
      const last = Math.min(total, Math.ceil((strip.scrollLeft + (strip.clientWidth || 900)) / STEP) + BEYOND);
      return [first, Math.max(first, last)];
    };

    const look = () => {
      const total = model.get("total");
      track.style.width = `${total * STEP}px`;
      empty.hidden = total > 0;
      const [first, last] = range();
      for (const [index, cell] of cells) {
        if (index >= first && index < last) continue;
        cell.remove();
        cells.delete(index);
        URL.revokeObjectURL(thumbs.get(index));
        thumbs.delete(index);
      }
      for (let index = first; index < last; index += 1) {
        if (cells.has(index)) continue;
        const cell = make(index);
        cells.set(index, cell);
        track.append(cell);
      }
      mark();
      const wish = `${model.get("version")}:${first}:${last}`;
      if (wish === asked || last === first) return;
      asked = wish;
      model.send({ op: "window", first, last, version: model.get("version") });
    };

    const mark = () => {
      const current = model.get("current");
      for (const [index, cell] of cells) {
        if (index === current) cell.setAttribute("aria-current", "true");
        else cell.removeAttribute("aria-current");
        cell.tabIndex = index === current || (current < 0 && index === 0) ? 0 : -1;
      }
    };

    const reveal = () => {
      const left = model.get("current") * STEP;
      const room = strip.clientWidth;
      if (left < 0 || (left >= strip.scrollLeft + STEP / 2 && left + STEP * 1.5 <= strip.scrollLeft + room)) return;
      strip.scrollLeft = left - (room - STEP) / 2;
    };

    const fill = (index, { title, status, count }) => {
      const cell = cells.get(index);
      if (!cell) return;
      cell.title = title;
      cell.dataset.status = status;
      cell.setAttribute("aria-label", `${title}, ${WORDS[status] ?? status}, ${count} ${count === 1 ? "mask" : "masks"}`);
      cell.querySelector(".segwidget-film-mark").textContent = MARKS[status] ?? "";
      cell.querySelector(".segwidget-film-count").textContent = count ? String(count) : "";
      cell.querySelector(".segwidget-film-name").textContent = title;
    };

    const heard = (content, buffers) => {
      if (content?.version !== model.get("version")) return;
      if (content.op === "cells") {
        content.cells.forEach((cell, n) => fill(content.first + n, cell));
      } else if (content.op === "thumb") {
        const cell = cells.get(content.index);
        if (!cell) return;
        URL.revokeObjectURL(thumbs.get(content.index));
        const url = URL.createObjectURL(new Blob([buffers[0]], { type: "image/jpeg" }));
        thumbs.set(content.index, url);
        cell.querySelector("img").src = url;
        cell.dataset.seen = "true";
      }
    };

    const otherList = () => {
      forget();
      look();
      reveal();
    };
    const otherCurrent = () => {
      const inside = strip.contains(document.activeElement);
      reveal();
      look();
      if (inside) cells.get(model.get("current"))?.focus({ preventScroll: true });
    };
    const keys = (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      event.stopPropagation();
      model.send({ op: "step", step });
    };

    // Anywhere in the app, the picture included, so that nobody has to leave the keyboard.
    const turn = (event) => {
      const step = { PageDown: 1, PageUp: -1 }[event.key];
      const app = strip.closest(".segwidget-app");
      if (step === undefined || !event.shiftKey || !app?.contains(event.target)) return;
      event.preventDefault();
      event.stopPropagation();
      const old = app.querySelector("canvas.sw-canvas");
      model.send({ op: "step", step });
      focusNext(app, old, performance.now() + 10_000);
    };
    // The picture that had the focus goes; the one that comes takes it over.
    const focusNext = (app, old, end) => {
      const canvas = app.querySelector("canvas.sw-canvas");
      if (canvas && canvas !== old) {
        if (document.activeElement === document.body || !app.contains(document.activeElement)) {
          canvas.focus({ preventScroll: true });
        }
      } else if (app.isConnected && performance.now() < end) {
        requestAnimationFrame(() => focusNext(app, old, end));
      }
    };

    // In a notebook's cell a strip may be laid out long after it is made.
    const size = new ResizeObserver(() => {
      look();
      if (strip.scrollLeft === 0) reveal();
    });
    size.observe(strip);
    strip.addEventListener("scroll", look, { passive: true });
    strip.addEventListener("keydown", keys);
    document.addEventListener("keydown", turn, true);
    model.on("msg:custom", heard);
    model.on("change:version change:total", otherList);
    model.on("change:current", otherCurrent);
    look();
    reveal();
    return () => {
      size.disconnect();
      document.removeEventListener("keydown", turn, true);
      model.off("msg:custom", heard);
      model.off("change:version change:total", otherList);
      model.off("change:current", otherCurrent);
      forget();
    };
  },
};
