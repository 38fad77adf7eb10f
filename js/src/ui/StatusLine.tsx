// One quiet line: which model answers, where, how fast, and what lies under the pointer.
import type { JSX } from "preact";
import { useWidget } from "./context";
import { formatMs } from "./format";
import { DownloadLine, ModelButton } from "./ModelButton";
import { TrueIou } from "./Truth";

const WORDS: Record<string, string> = {
  loading: "Loading the model",
  embedding: "Reading the picture",
  busy: "Working",
  failed: "Failed",
};

function Answer(): JSX.Element | null {
  const { view } = useWidget();
  const answer = view.lastAnswer.value;
  if (!answer) return null;
  const total = answer.totalMs === null ? "" : ` · ${formatMs(answer.totalMs)} to screen`;
  return (
    <span
      class="sw-item"
      data-testid="answer-time"
      data-by={answer.by}
      data-tip={
        "Who gave the last answer and how long it took, and the time from the click until it was on " +
        "screen. What is kept is always the kernel's own mask."
      }
    >
      <span class="sw-wide">{answer.by === "page" ? "this page " : "kernel "}</span>
      {formatMs(answer.ownMs)}
      <span class="sw-wide">{total}</span>
    </span>
  );
}

/** What was kept while the kernel was at something else. */
function Pending(): JSX.Element | null {
  const { store } = useWidget();
  const count = store.local.pending.value.length;
  if (count === 0) return null;
  return (
    <span
      class="sw-item sw-word"
      data-testid="pending"
      data-tip="Kept here, and not yet confirmed by the kernel. It arrives when the kernel is free."
    >
      {count} waiting for the kernel
    </span>
  );
}

/** A component of its own: it changes with every move of the pointer. */
function Coordinates(): JSX.Element {
  const { view } = useWidget();
  const at = view.pointer.value;
  return (
    <span class="sw-item sw-coordinates" aria-hidden="true">
      {at ? `${Math.floor(at.x)}, ${Math.floor(at.y)}` : ""}
    </span>
  );
}

export function StatusLine(): JSX.Element {
  const { store } = useWidget();
  const status = store.status.value;
  const image = store.image.value;
  const word = status.message || WORDS[status.state];
  const offline = store.host.connected?.value === false;
  const settledWord = offline
    ? "No kernel is connected. Run the cell to go on."
    : status.state === "ready" ? "" : word;
  return (
    <footer class="sw-status" data-testid="status" data-state={status.state}>
      <ModelButton />
      <DownloadLine />
      {settledWord && <span class="sw-item sw-word sw-ellipsis">{settledWord}</span>}
      {image && (
        <span class="sw-item">
          {image.width} × {image.height}
        </span>
      )}
      <TrueIou />
      <Answer />
      <Pending />
      <span class="sw-spring" />
      <Coordinates />
    </footer>
  );
}
