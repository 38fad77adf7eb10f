// A dialogue about one thing, as segwidget/inference/dialogue.py holds it: the answer to the first prompt
// stands by itself, each later one is given the logits of the candidate that was picked before it.
import type { Answer, Drawn } from "./frame";

/** Asks the network about all of the prompts, given (s, s) logits to refine. */
export type Ask = (prompts: readonly Drawn[], mask: Float32Array | null) => Promise<Answer>;

/** Each has a megabyte; a step back or forth is found again. */
const MAX_ANSWERS = 16;

export class Dialogue {
  private readonly answers = new Map<string, Answer>();
  private glanced: { key: string; answer: Answer } | undefined;

  constructor(private readonly ask: Ask) {}

  /**
   * The answer to `prompts`. `picks` says for each but the last which candidate was picked when the next
   * came; missing ones count as 0, and one beyond the last as the last.
   */
  async answer(prompts: readonly Drawn[], picks: readonly number[]): Promise<Answer> {
    const keyOf = (count: number): string =>
      JSON.stringify([prompts.slice(0, count), prompts.slice(1, count).map((_, i) => picks[i] ?? 0)]);
    let known = prompts.length;
    let answer: Answer | undefined;
    while (known > 0 && !(answer = this.find(keyOf(known)))) known--;
    let ms = known === prompts.length ? answer!.ms : 0;
    for (let count = known + 1; count <= prompts.length; count++) {
      answer = await this.ask(prompts.slice(0, count), answer ? picked(answer, picks[count - 2]) : null);
      ms += answer.ms;
      this.keep(keyOf(count), answer);
    }
    return { ...answer!, ms };
  }

  /** The answer to a single prompt, which takes no room from those of the dialogue. */
  async glance(prompt: Drawn): Promise<Answer> {
    const key = JSON.stringify([[prompt], []]);
    let answer = this.find(key);
    if (!answer) {
      answer = await this.ask([prompt], null);
      this.glanced = { key, answer };
    }
    return answer;
  }

  private find(key: string): Answer | undefined {
    const answer = this.answers.get(key) ?? (this.glanced?.key === key ? this.glanced.answer : undefined);
    if (answer && this.answers.delete(key)) this.answers.set(key, answer);
    return answer;
  }

  private keep(key: string, answer: Answer): void {
    this.answers.set(key, answer);
    for (const oldest of this.answers.keys()) {
      if (this.answers.size <= MAX_ANSWERS) break;
      this.answers.delete(oldest);
    }
  }
}

function picked({ logits, iou }: Answer, pick = 0): Float32Array {
  const size = logits.length / iou.length;
  const index = Math.min(Math.max(pick, 0), iou.length - 1);
  return logits.slice(index * size, (index + 1) * size);
}
