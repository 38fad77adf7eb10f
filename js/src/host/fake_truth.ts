// Ground truth for the kernel in the page: one mask, compared with each answer at full size.
import { gridOf, maskOf } from "../codecs/logits";
import { boxOfRuns, decodeRle } from "../codecs/rle";
import { maskFrom } from "./fake_editing";
import type { FakeKernel } from "./fake_kernel";
import type { RleTrait, TruthScoresTrait } from "./traits";

/** From now on each answer is compared with this mask. */
export function tellTruth(kernel: FakeKernel, rle: RleTrait, label = "truth"): () => void {
  const truth = maskFrom(rle);
  const area = truth.on.reduce((sum, value) => sum + value, 0);
  const box = boxOfRuns(decodeRle(rle.size, rle.counts));
  const target = { index: 0, id: "truth", label, box, area, rle };
  let curve: TruthScoresTrait["curve"] = [];
  const compare = (): void => {
    const candidates = kernel.get("candidates");
    const prompts = kernel.get("prompts").length;
    if (!candidates || prompts === 0) {
      curve = [];
      kernel.push({ truth_target: null, truth_scores: { request: "", masks: 1, iou: [], curve } });
      return;
    }
    const iou = candidates.items.map((_, index) => {
      const grid = gridOf(candidates, index);
      const on = grid ? maskOf(grid, truth.width, truth.height) : new Uint8Array(truth.on.length);
      let both = 0;
      let either = 0;
      on.forEach((value, i) => {
        both += value & truth.on[i]!;
        either += value | truth.on[i]!;
      });
      return either === 0 ? 1 : both / either;
    });
    const picked = Math.min(kernel.get("picked"), iou.length - 1);
    const point: [number, number, number] = [
      prompts, iou[picked]!, candidates.items[picked]!.predicted_iou,
    ];
    curve = [...curve.filter(([count]) => count < prompts), point];
    const hit = iou.some((value) => value > 0);
    kernel.push({
      truth_target: hit ? target : null,
      truth_scores: { request: candidates.request, masks: 1, iou, curve },
    });
  };
  compare();
  const stops = [kernel.on("candidates", compare), kernel.on("picked", compare)];
  return () => stops.forEach((stop) => stop());
}
