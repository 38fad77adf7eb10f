// The model menu of the kernel in the page: nothing is computed otherwise, nothing is fetched.
import type { Intent } from "./intents";
import type { DownloadTrait, ModelTrait, NoticeTrait, Traits } from "./traits";

const MB = 1e6;
const STEP_MS = 120;
const STEP = 0.02;

const model = (
  name: string, title: string, bytes: number, licence: string, summary: string, more: Partial<ModelTrait> = {},
): ModelTrait => ({
  name, title, bytes, licence, summary, packaged: false, cached: false, usable: true, reason: "", ...more,
});

export const FAKE_MODELS: ModelTrait[] = [
  model("embedded", "the model that segwidget carries", 11.5 * MB, "Apache-2.0",
    "Masks at once on any computer, without a download or a GPU.", { packaged: true, cached: true }),
  model("mobile_sam", "MobileSAM", 40.7 * MB, "Apache-2.0",
    "SAM's decoder behind a small encoder: the one to take on a CPU."),
  model("vit_b", "SAM ViT-B", 375 * MB, "Apache-2.0",
    "The smallest SAM as published; seconds an image on a CPU, at once on a GPU.", { cached: true }),
  model("vit_h", "SAM ViT-H", 2565 * MB, "Apache-2.0",
    "The SAM of the paper, for the best masks; wants a GPU.",
    { usable: false, reason: "Not fetched, because SEGWIDGET_OFFLINE is set." }),
  model("medsam", "MedSAM", 375 * MB, "Apache-2.0, CC-BY-4.0",
    "ViT-B, tuned on medical images; made for boxes, not for clicks."),
];

interface Kernel {
  get<K extends keyof Traits>(name: K): Traits[K];
  push(values: Partial<Traits>): void;
}

export class FakeModels {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #wanted = "";

  /** With a delay, bytes arrive by themselves; without, a test lets them. */
  constructor(
    private readonly kernel: Kernel,
    private readonly delay: number,
  ) {}

  /** Whether it was an intent about models. */
  perform(intent: Intent): boolean {
    if (intent.op === "use_model") {
      this.#wanted = "";
      this.#use(intent.name);
    } else if (intent.op === "download_model") this.#begin(intent.name);
    else if (intent.op === "cancel_download") this.#end("idle");
    else return false;
    return true;
  }

  /** So much of the file is here, 0 to 1; the whole of it ends the download. */
  arrive(share: number, message = ""): void {
    const download = this.kernel.get("download");
    const done = Math.round(share * download.total);
    this.kernel.push({ download: { ...download, done, message } });
    if (share >= 1) this.#end("done");
  }

  fail(message: string): void {
    const notice: NoticeTrait = {
      id: "download", level: "error", code: "CheckpointError", message, request: "",
    };
    this.kernel.push({ notice });
    this.#end("failed");
  }

  #use(name: string): void {
    const { status, models } = { status: this.kernel.get("status"), models: this.kernel.get("models") };
    if (!models.some((entry) => entry.name === name && entry.cached)) return;
    const ready = (): void =>
      this.kernel.push({ model: name, status: { ...status, state: "ready", model: name, message: "" } });
    if (this.delay === 0) return ready();
    this.kernel.push({ status: { ...status, state: "loading", message: `Loading ${name} …` } });
    setTimeout(ready, 20 * this.delay);
  }

  #begin(name: string): void {
    const entry = this.kernel.get("models").find((one) => one.name === name);
    const before = this.kernel.get("download");
    if (!entry || before.state === "running") return;
    this.#wanted = name;
    const done = before.name === name && before.state !== "done" ? before.done : 0;
    this.kernel.push({
      download: { name, done, total: entry.bytes, state: "running", message: "" },
    });
    if (this.delay === 0) return;
    const step = (): void => {
      const { done: here, total, state } = this.kernel.get("download");
      if (state !== "running") return;
      this.arrive(Math.min(1, here / total + STEP));
      this.#timer = setTimeout(step, STEP_MS);
    };
    this.#timer = setTimeout(step, STEP_MS);
  }

  #end(state: DownloadTrait["state"]): void {
    clearTimeout(this.#timer);
    const download = this.kernel.get("download");
    if (download.state !== "running") return;
    const models = this.kernel.get("models").map((entry) =>
      state === "done" && entry.name === download.name ? { ...entry, cached: true } : entry,
    );
    this.kernel.push({ models, download: { ...download, state, message: "" } });
    if (state === "done" && this.#wanted === download.name) this.#use(download.name);
  }
}
