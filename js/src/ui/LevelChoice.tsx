// Which of an ambiguous click's masks is picked first. The kernel remembers it.
import type { JSX } from "preact";
import type { Level } from "../host/traits";
import { useWidget } from "./context";
import { ChevronIcon } from "./icons";

const LEVELS: readonly { level: Level; word: string }[] = [
  { level: "best", word: "best" },
  { level: "whole", word: "whole" },
  { level: "part", word: "part" },
  { level: "subpart", word: "sub-part" },
];

export function LevelChoice(): JSX.Element {
  const { store, actions } = useWidget();
  const chosen = store.level.value;
  return (
    <label class="sw-prefer" data-tip="Which mask of a single click is picked first">
      <span>Prefer</span>
      <span class="sw-select">
        <select
          aria-label="Which mask of a single click is picked first"
          data-testid="level"
          data-lm-suppress-shortcuts="true"
          value={chosen}
          onChange={(event) => actions.preferLevel(event.currentTarget.value as Level)}
        >
          {LEVELS.map(({ level, word }) => (
            <option key={level} value={level}>
              {word}
            </option>
          ))}
        </select>
        <ChevronIcon />
      </span>
    </label>
  );
}
