import { hideStill } from "../src/host/still";

/** A PNG's beginning: signature, IHDR, and the first chunk with its keyword. */
function pngWith(keyword: string): string {
  const chunk = (type: string, data: string): string =>
    `\0\0\0${String.fromCharCode(data.length)}${type}${data}crc.`;
  const bytes = `\x89PNG\r\n\x1a\n${chunk("IHDR", "thirteen byte")}${chunk("tEXt", `${keyword}\0`)}${"x".repeat(40)}`;
  return `data:image/png;base64,${btoa(bytes)}`;
}

/** A cell's outputs as JupyterLab lays them out: a picture, whatever is between, and a live view. */
function outputs(source: string, between = "") {
  const area = document.createElement("div");
  area.innerHTML = `
    <div class="jp-OutputArea-child"><div></div><div><img></div></div>${between}
    <div class="jp-OutputArea-child"><div></div><div><div class="view"></div></div></div>`;
  area.querySelector("img")!.src = source;
  document.body.append(area);
  return { row: area.firstElementChild as HTMLElement, view: area.querySelector<HTMLElement>(".view")! };
}

let resized: () => void;
const observer = { observe: vi.fn(), disconnect: vi.fn() };

beforeEach(() => {
  document.body.replaceChildren();
  vi.stubGlobal("ResizeObserver", function (heard: () => void) {
    resized = heard;
    return observer;
  });
});

afterEach(() => vi.unstubAllGlobals());

test("the picture of a live view is hidden while the view is there", () => {
  const { row, view } = outputs(pngWith("segwidget"));
  const show = hideStill(view);
  expect(observer.observe).toHaveBeenCalledWith(view);
  resized();
  expect(row.style.display).toBe("none");
  show();
  expect(row.style.display).toBe("");
  expect(observer.disconnect).toHaveBeenCalled();
});

const EMPTY = '<div class="jp-OutputArea-child"><div></div><div></div></div>';

test("a row between the two makes no difference, two of them make the picture another one's", () => {
  for (const [between, display] of [[EMPTY, "none"], [EMPTY + EMPTY, ""]] as const) {
    const { row, view } = outputs(pngWith("segwidget"), between);
    hideStill(view);
    resized();
    expect(row.style.display).toBe(display);
  }
});

test.each([pngWith("segwidgets"), pngWith("Author"), "data:image/png;base64,", "blob:x", "https://a/b.png"])(
  "another picture stays: %s",
  (source) => {
    const { row, view } = outputs(source);
    hideStill(view);
    resized();
    expect(row.style.display).toBe("");
  },
);

test("a view that stands elsewhere, or not yet, hides nothing", () => {
  const { row, view } = outputs(pngWith("segwidget"));
  view.remove();
  hideStill(view);
  resized();
  document.body.append(view);
  resized();
  expect(row.style.display).toBe("");
});
