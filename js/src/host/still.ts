// The picture that stands before a live view in a notebook, for whoever opens it without its kernel
// (segwidget/widget/still.py). While there is a live view, its row among the cell's outputs is hidden.
// Between the two is the row of a style sheet, which JupyterLab empties where it does not trust it.
const ROW = ".jp-OutputArea-child";
/** The keyword of the picture's first text chunk, and where it stands: behind signature, IHDR, and its
 * own chunk's length and type (PNG, 5.3 and 11.3.3.2). */
const MARK = "segwidget";
const MARK_AT = 8 + 25 + 8;

/** Hides the picture before `el` as soon as `el` stands in the page; returns the way to show it again. */
export function hideStill(el: HTMLElement): () => void {
  let hidden: HTMLElement | null = null;
  const hide = (): void => {
    const before = el.closest(ROW)?.previousElementSibling;
    const row = [before, before?.previousElementSibling].find(holdsStill);
    if (!(row instanceof HTMLElement)) return;
    row.style.display = "none";
    hidden = row;
  };
  // Jupyter makes a view before it has a place; it gets a size with it, and another one if it moves.
  const observer = new ResizeObserver(hide);
  observer.observe(el);
  return () => {
    observer.disconnect();
    if (hidden) hidden.style.display = "";
  };
}

function holdsStill(row: Element | null | undefined): boolean {
  const picture = row?.querySelector("img");
  return !!picture && isStill(picture.src);
}

function isStill(source: string): boolean {
  const [kind, data] = source.split(",", 2);
  if (kind !== "data:image/png;base64" || !data) return false;
  const start = atob(data.slice(0, 4 * Math.ceil((MARK_AT + MARK.length + 1) / 3)));
  return start.startsWith(`tEXt${MARK}\0`, MARK_AT - 4);
}
