// Which of an ambiguous click's three masks a person wants: the whole thing, a part, or a part of that.
import type { CandidateItem, Level, Prompt } from "../host/traits";

const PLACE: Record<Exclude<Level, "best">, number> = { whole: 0, part: 1, subpart: 2 };

/** One click on a thing: its three masks differ in what they take to be the thing. */
export function isAmbiguous(prompts: readonly Prompt[]): boolean {
  const [only] = prompts;
  return prompts.length === 1 && only?.type === "point" && only.label === 1;
}

/** Which candidate of an ambiguous click is picked first. */
export function pickFor(
  level: Level,
  candidates: { items: readonly CandidateItem[]; tokens?: readonly number[] },
): number {
  if (level === "best") return 0;
  const ambiguous = candidates.items
    .map(({ area }, index) => ({ area, index }))
    .filter(({ index }) => candidates.tokens?.[index] !== 0)
    .sort((a, b) => b.area - a.area || a.index - b.index);
  return ambiguous[PLACE[level]]?.index ?? 0;
}
