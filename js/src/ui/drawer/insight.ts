// Pictures that only the kernel can make: asked for when they are looked at, and kept while they hold.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { bytesOf } from "../../codecs/bytes";
import type { InsightTrait } from "../../host/traits";
import { useWidget } from "../context";

export interface Insight {
  /** The newest one of its kind; it may speak of an earlier draft. */
  insight: InsightTrait | null;
  /** It answers what is on screen now. */
  fresh: boolean;
}

/**
 * The kernel's insight of a kind, asked for once for each draft (or once for the picture).
 *
 * What another view of the same widget asks for meanwhile neither replaces it nor makes it ask again.
 */
export function useInsight(kind: InsightTrait["kind"]): Insight {
  const { store, actions } = useWidget();
  const latest = useRef<InsightTrait | null>(null);
  const trait = store.insight.value;
  if (trait === null) latest.current = null; // another model: nothing holds any more
  else if (trait.kind === kind) latest.current = trait;
  const ofDraft = kind === "attention";
  const drafted = store.prompts.value.length > 0;
  // The kernel must know the draft before it is asked about it.
  const known = !ofDraft || (drafted && !store.unconfirmed.value);
  const request = known ? (ofDraft ? store.request.value : "") : null;
  const forgotten = trait === null;
  useLayoutEffect(() => {
    if (store.host.standalone || request === null) return;
    const have = store.insight.peek();
    if (have?.kind !== kind || have.request !== request) actions.askInsight(kind);
  }, [kind, request, forgotten]);
  const insight = latest.current;
  return { insight, fresh: insight !== null && insight.request === request };
}

/** The decoded pictures of an insight, in its order; null while they are being decoded. */
export function useBitmaps(insight: InsightTrait | null): (ImageBitmap | null)[] | null {
  const [decoded, setDecoded] = useState<{ of: InsightTrait; bitmaps: (ImageBitmap | null)[] } | null>(null);
  useEffect(() => {
    if (!insight || typeof createImageBitmap !== "function") return undefined;
    let wanted = true;
    const one = ({ data }: InsightTrait["pictures"][number]): Promise<ImageBitmap | null> =>
      createImageBitmap(new Blob([bytesOf(data)], { type: "image/png" })).catch(() => null);
    void Promise.all(insight.pictures.map(one)).then((bitmaps) => {
      if (wanted) setDecoded({ of: insight, bitmaps });
      else for (const bitmap of bitmaps) bitmap?.close();
    });
    return () => {
      wanted = false;
    };
  }, [insight]);
  // The last ones stay until the next are there.
  useEffect(() => () => decoded?.bitmaps.forEach((bitmap) => bitmap?.close()), [decoded]);
  return decoded && decoded.of.pictures.length === insight?.pictures.length ? decoded.bitmaps : null;
}
