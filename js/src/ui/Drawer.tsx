// The drawer below the tray: five pictures of how the model comes to its masks. Closed until opened.
import type { FunctionComponent, JSX } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { DrawerTab } from "../state/view_state";
import { useWidget } from "./context";
import { ChevronIcon } from "./icons";
import { AttentionView } from "./drawer/AttentionView";
import { EmbeddingView } from "./drawer/EmbeddingView";
import { LogitsView } from "./drawer/LogitsView";
import { ScoresView } from "./drawer/ScoresView";
import { TokensView } from "./drawer/TokensView";

interface Tab {
  tab: DrawerTab;
  word: string;
  View: FunctionComponent;
  sentence: string;
}

const TABS: readonly Tab[] = [
  {
    tab: "scores",
    word: "Scores",
    View: ScoresView,
    sentence:
      "Each mask by what the model promises for it (predicted IoU) and by how little it changes " +
      "when the threshold moves (stability): the good ones are up and to the right.",
  },
  {
    tab: "logits",
    word: "Logits",
    View: LogitsView,
    sentence:
      "Before there is a mask there is a number for every spot: above the threshold it is inside, " +
      "below it is outside, and the farther away the surer is the model.",
  },
  {
    tab: "tokens",
    word: "Tokens",
    View: TokensView,
    sentence:
      "Four tokens answer every prompt: three differ in what they take to be the thing, for clicks " +
      "that could mean several, and one gives a single mask for prompts that are clear.",
  },
  {
    tab: "embedding",
    word: "Embedding",
    View: EmbeddingView,
    sentence:
      "What the model has made of the picture, once, before any click: patches of like color " +
      "are alike to it (the first three principal components as red, green and blue).",
  },
  {
    tab: "attention",
    word: "Attention",
    View: AttentionView,
    sentence:
      "Where each token looks while it answers: its weights on the patches of the picture, " +
      "averaged over heads and layers, brighter for more.",
  },
];

function Tabs({ chosen }: { chosen: DrawerTab }): JSX.Element {
  const { view } = useWidget();
  const list = useRef<HTMLDivElement>(null);
  const onKey = (event: KeyboardEvent): void => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (step === 0 || event.shiftKey || event.ctrlKey || event.metaKey || event.altKey) return;
    // Inside the tabs arrows are theirs, not the candidates'.
    event.preventDefault();
    event.stopPropagation();
    const at = TABS.findIndex(({ tab }) => tab === chosen);
    const next = (at + step + TABS.length) % TABS.length;
    view.drawerTab.value = TABS[next]!.tab;
    list.current?.querySelectorAll<HTMLElement>("[role=tab]")[next]?.focus({ preventScroll: true });
  };
  return (
    <div ref={list} class="sw-tabs" role="tablist" aria-label="How it thinks" onKeyDown={onKey}>
      {TABS.map(({ tab, word }) => (
        <button
          key={tab}
          type="button"
          role="tab"
          class="sw-tab"
          id={`${view.id}-tab-${tab}`}
          aria-selected={tab === chosen}
          aria-controls={`${view.id}-lesson`}
          tabIndex={tab === chosen ? 0 : -1}
          data-testid={`tab-${tab}`}
          data-lm-suppress-shortcuts="true"
          onClick={() => (view.drawerTab.value = tab)}
        >
          {word}
        </button>
      ))}
    </div>
  );
}

export function Drawer(): JSX.Element {
  const { view } = useWidget();
  const open = view.drawerOpen.value;
  const chosen = TABS.find(({ tab }) => tab === view.drawerTab.value) ?? TABS[0]!;
  const { View } = chosen;
  const drawer = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    // Where the panel scrolls by itself, what has been opened comes into sight.
    const panel = drawer.current?.closest<HTMLElement>(".sw-panel");
    if (!open || !panel || !drawer.current || panel.scrollHeight <= panel.clientHeight) return;
    const down = drawer.current.getBoundingClientRect().top - panel.getBoundingClientRect().top;
    panel.scrollTop += down;
  }, [open]);
  return (
    <div ref={drawer} class="sw-drawer" data-testid="drawer" data-open={open}>
      <button
        type="button"
        class="sw-drawer-handle"
        aria-expanded={open}
        data-testid="drawer-handle"
        data-lm-suppress-shortcuts="true"
        onClick={() => (view.drawerOpen.value = !open)}
      >
        <ChevronIcon />
        How it thinks
      </button>
      {open && (
        <>
          <Tabs chosen={chosen.tab} />
          <div
            class="sw-lesson"
            role="tabpanel"
            id={`${view.id}-lesson`}
            aria-labelledby={`${view.id}-tab-${chosen.tab}`}
            data-testid="lesson"
            data-tab={chosen.tab}
          >
            <p class="sw-sentence">{chosen.sentence}</p>
            <View key={chosen.tab} />
          </div>
        </>
      )}
    </div>
  );
}
