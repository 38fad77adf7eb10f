// The verbs of the front end. Every one ends in one message to the kernel or one change of view state.
import { effect } from "@preact/signals";
import type { Intent } from "../host/intents";
import type { AttributeValue, BoxTuple, InsightTrait, Level, Prompt, Traits } from "../host/traits";
import { fit, pan, toStage, zoomAt, type Spot } from "../canvas/viewport";
import { createDraft, type PageDecoder } from "./draft";
import { createEditing, withPrompt, type Editing } from "./editing";
import { isAmbiguous, pickFor } from "./level";
import { stepFrom } from "./proposals";
import type { Store } from "./store";
import type { ViewState } from "./view_state";

/** How long an answer may take before the person is told; longer while the kernel says it is at work. */
const SILENCE_MS = 10_000;
const SILENCE_AT_WORK_MS = 60_000;
/** How long the kernel may leave unconfirmed what this page has answered itself. */
const UNHEARD_MS = 20_000;
const ZOOM_STEP = 1.25;
/** So many prompts may a draft have, as the kernel sees it, too. */
const MAX_PROMPTS = 100;

export interface Actions {
  addPrompt(prompt: Prompt): void;
  removePrompt(index: number): void;
  removeLastPrompt(): void;
  pick(index: number): void;
  pickBy(step: number): void;
  /** Which of an ambiguous click's masks is picked first, from now on and in the present draft. */
  preferLevel(level: Level): void;
  /** Asks for a picture of what the network does; it comes in the `insight` trait. */
  askInsight(kind: InsightTrait["kind"]): void;
  keep(): void;
  clear(): void;
  undo(): void;
  redo(): void;
  chooseLabel(name: string): void;
  addLabel(name: string): void;
  removeAnnotations(ids: string[]): void;
  relabel(ids: string[], label: string): void;
  show(ids: string[], visible: boolean): void;
  /** Sets one attribute of an annotation; null takes its value away. */
  describe(id: string, name: string, value: AttributeValue | null): void;
  setParent(id: string, parent: string): void;
  everything(): void;
  cancelEverything(): void;
  keepProposals(ids: string[]): void;
  keepShownProposals(): void;
  keepPointedProposal(): void;
  stepProposal(step: number): void;
  clearProposals(): void;
  toggleModels(): void;
  useModel(name: string): void;
  downloadModel(name: string): void;
  cancelDownload(): void;
  dismissNotice(): void;
  zoomBy(factor: number, at?: Spot): void;
  zoomIn(): void;
  zoomOut(): void;
  fit(): void;
  panBy(dx: number, dy: number): void;
  toggleMode(): void;
  /** Tools, and the work on what is kept. */
  readonly edit: Editing;
  /** When the given request left this view, by `performance.now()`. */
  sentAt(request: string): number | undefined;
  dispose(): void;
}

export function createActions(store: Store, view: ViewState, decoder?: PageDecoder): Actions {
  let silence: ReturnType<typeof setTimeout> | undefined;
  let unheard: ReturnType<typeof setTimeout> | undefined;
  let afterAnswer: Intent[] = [];
  let gaveUp = false;

  const tell = (code: string, message: string, level: "error" | "info" = "error"): void => {
    view.localNotice.value = { id: `local-${code}`, level, code, message, request: "" };
  };

  /** Runs `send`; a closed connection becomes a notice, never an exception in the page. */
  const attempt = (send: () => void): void => {
    if (store.host.connected?.peek() === false) return; // nobody would hear it, and nothing offers it
    try {
      send();
    } catch {
      tell(
        "connection_closed",
        "The connection to the kernel is closed, so this change was not sent. Run the cell again.",
      );
    }
  };
  const set = (values: Partial<Traits>): void => attempt(() => store.host.set(values));
  const send = (intent: Intent): void => attempt(() => store.host.send(intent));

  // Notebooks hold trait updates back while the kernel works, but pass messages on at once. An intent
  // about the draft therefore waits for the answer to the draft, or it would overtake its own click.
  const sendInTurn = (intent: Intent): void => {
    if (store.unconfirmed.peek() && !gaveUp) afterAnswer.push(intent);
    else send(intent);
  };
  const tellUnheard = (): void => {
    if (store.waiting.peek()) return; // which is told in its own words
    tell(
      "unheard",
      `The kernel has not answered for ${UNHEARD_MS / 1000} seconds. If it is busy with another cell, ` +
        "go on: what you keep arrives when it is free. If it has stopped, run the cell again; what " +
        "waits for it is kept in this page only.",
      "info",
    );
  };
  const draft = createDraft(store, view.id, { set, send }, decoder);
  const stopQueue = effect(() => {
    if (store.unconfirmed.value) {
      unheard ??= setTimeout(tellUnheard, UNHEARD_MS);
      return;
    }
    clearTimeout(silence);
    clearTimeout(unheard);
    unheard = undefined;
    gaveUp = false;
    const told = view.localNotice.peek()?.code;
    if (told === "no_answer" || told === "unheard") view.localNotice.value = null;
    const intents = afterAnswer;
    afterAnswer = [];
    for (const intent of intents) send(intent);
  });

  const watchSilence = (): void => {
    clearTimeout(silence);
    gaveUp = false;
    const state = store.status.peek().state;
    const atWork = state === "loading" || state === "embedding" || state === "busy";
    const limit = atWork ? SILENCE_AT_WORK_MS : SILENCE_MS;
    silence = setTimeout(() => {
      if (!store.waiting.peek()) return; // answered, if only by this page: what is queued stays queued
      afterAnswer = [];
      gaveUp = true;
      tell(
        "no_answer",
        `The kernel did not answer within ${limit / 1000} seconds. ` +
          "If it is busy with another cell, wait; if it has stopped, run the cell again.",
      );
    }, limit);
  };

  const setPrompts = (prompts: Prompt[]): void => {
    view.hoveredCandidate.value = null;
    draft.ask(prompts);
    watchSilence();
  };

  /** Moves the picture where the middle of a box lies outside the stage. */
  const bringIntoSight = (box: BoxTuple): void => {
    const { width, height } = view.stage.peek();
    const middle = { x: (box[0] + box[2]) / 2, y: (box[1] + box[3]) / 2 };
    const at = toStage(view.viewport.peek(), middle);
    const outside = at.x < 0 || at.y < 0 || at.x > width || at.y > height;
    if (outside) actions.panBy(width / 2 - at.x, height / 2 - at.y);
  };

  const actions: Actions = {
    addPrompt(prompt) {
      if (store.prompts.peek().length >= MAX_PROMPTS) {
        tell(
          "too_many_prompts",
          `There are ${MAX_PROMPTS} prompts for one thing, and no more are taken. Keep what there is, ` +
            "or discard it, and go on with the next thing.",
        );
        return;
      }
      setPrompts(withPrompt(store.prompts.peek(), prompt));
    },
    removePrompt(index) {
      const rest = store.prompts.peek().filter((_, i) => i !== index);
      view.hoveredPrompt.value = null;
      if (rest.length > 0) setPrompts(rest);
      else actions.clear();
    },
    removeLastPrompt() {
      const count = store.prompts.peek().length;
      if (count > 0) actions.removePrompt(count - 1);
    },
    pick(index) {
      const count = store.shown.peek()?.items.length ?? 0;
      if (index < 0 || index >= count || index === store.picked.peek()) return;
      draft.pick(index);
    },
    pickBy(step) {
      const count = store.shown.peek()?.items.length ?? 0;
      if (count > 0) actions.pick((store.picked.peek() + step + count) % count);
    },
    preferLevel(level) {
      if (level === store.level.peek()) return;
      set({ level });
      const shown = store.shown.peek();
      if (shown && isAmbiguous(store.prompts.peek())) actions.pick(pickFor(level, shown));
    },
    askInsight: (kind) => send({ op: "insight", kind }),
    keep() {
      const shown = store.shown.peek();
      // Nothing is kept that was not on screen: while an answer is awaited this does nothing.
      if (!shown || !store.settled.peek() || shown.items.length === 0) return;
      view.hoveredCandidate.value = null;
      const threshold = view.threshold.peek();
      if (draft.keep(threshold)) return;
      const picked = store.picked.peek();
      send({ op: "keep", request: shown.request, picked, ...(threshold !== 0 && { threshold }) });
    },
    clear() {
      if (store.prompts.peek().length > 0 && !draft.clear()) sendInTurn({ op: "clear" });
    },
    undo() {
      if (!draft.undo()) sendInTurn({ op: "undo" });
    },
    redo: () => sendInTurn({ op: "redo" }),
    chooseLabel(name) {
      if (name !== store.label.peek()) set({ label: name });
    },
    addLabel(name) {
      const trimmed = name.trim();
      if (trimmed === "") return;
      if (store.labels.peek().some((l) => l.name === trimmed)) actions.chooseLabel(trimmed);
      else send({ op: "add_label", name: trimmed });
    },
    removeAnnotations(ids) {
      view.hoveredAnnotation.value = null;
      send({ op: "delete", ids });
    },
    relabel: (ids, label) => send({ op: "relabel", ids, label }),
    show: (ids, visible) => send({ op: "show", ids, visible }),
    describe: (id, name, value) => send({ op: "set_attributes", ids: [id], values: { [name]: value } }),
    setParent: (id, parent) => send({ op: "set_parent", ids: [id], parent }),
    everything() {
      if (store.image.peek() && !view.proposals.running.peek()) send({ op: "everything" });
    },
    cancelEverything: () => send({ op: "cancel_everything" }),
    keepProposals(ids) {
      if (ids.length === 0) return;
      // The label goes along, because a newly chosen one may still be on its way as a trait.
      send({ op: "keep_proposals", ids, label: store.currentLabel.peek().name });
    },
    keepShownProposals() {
      actions.keepProposals(view.proposals.shown.peek().map((proposal) => proposal.id));
    },
    keepPointedProposal() {
      const id = view.proposals.hovered.peek();
      if (id === null) return;
      actions.stepProposal(1); // so that Enter goes on with the next one
      actions.keepProposals([id]);
    },
    stepProposal(step) {
      const shown = view.proposals.shown.peek();
      const next = stepFrom(view.proposals.hovered.peek(), step, shown);
      if (!next) return;
      view.proposals.hovered.value = next.proposal.id;
      bringIntoSight(next.proposal.box);
      view.announcement.value =
        `Proposal ${next.place + 1} of ${shown.length}, predicted IoU ` +
        `${next.proposal.predicted_iou.toFixed(2)}, ${next.proposal.area} pixels`;
    },
    clearProposals: () => send({ op: "clear_proposals" }),
    toggleModels: () => void (view.modelsOpen.value = !view.modelsOpen.peek()),
    useModel: (name) => send({ op: "use_model", name }),
    downloadModel: (name) => send({ op: "download_model", name }),
    cancelDownload: () => send({ op: "cancel_download" }),
    dismissNotice() {
      if (view.localNotice.peek()) view.localNotice.value = null;
      else {
        const notice = store.notice.peek();
        if (notice) send({ op: "dismiss", id: notice.id });
      }
    },
    zoomBy(factor, at) {
      const image = store.image.peek();
      const stage = view.stage.peek();
      if (!image) return;
      const middle = at ?? { x: stage.width / 2, y: stage.height / 2 };
      view.viewport.value = zoomAt(view.viewport.peek(), middle, factor, stage, image);
    },
    zoomIn: () => actions.zoomBy(ZOOM_STEP),
    zoomOut: () => actions.zoomBy(1 / ZOOM_STEP),
    fit() {
      const image = store.image.peek();
      if (image) view.viewport.value = fit(view.stage.peek(), image);
    },
    panBy(dx, dy) {
      const image = store.image.peek();
      if (image) view.viewport.value = pan(view.viewport.peek(), dx, dy, view.stage.peek(), image);
    },
    toggleMode() {
      view.mode.value = view.mode.peek() === "include" ? "exclude" : "include";
    },
    edit: createEditing(store, view, {
      set, send, sendInTurn,
      addPrompt: (prompt) => actions.addPrompt(prompt),
      panBy: (dx, dy) => actions.panBy(dx, dy),
    }),
    sentAt: draft.sentAt,
    dispose() {
      actions.edit.dispose();
      draft.dispose();
      stopQueue();
      clearTimeout(silence);
      clearTimeout(unheard);
      afterAnswer = [];
    },
  };
  return actions;
}
