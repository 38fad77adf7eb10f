// What the model menu says of a model and of a download, as words; and what is announced of them.
import { effect } from "@preact/signals";
import type { DownloadTrait, ModelTrait } from "../host/traits";
import type { Store } from "./store";
import type { ViewState } from "./view_state";

/** A size as people read it; decimal units, as networks and disks count. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  for (const unit of ["bytes", "kB", "MB"]) {
    if (value < 999.5) return `${value.toFixed(0)} ${unit}`;
    value /= 1000;
  }
  return `${value.toFixed(2)} GB`;
}

/** 0 to 100; full only when all is here. */
export function percentOf({ done, total }: DownloadTrait): number {
  return total > 0 ? Math.min(100, Math.floor((100 * done) / total)) : 0;
}

export function titleOf(model: ModelTrait): string {
  return model.title.charAt(0).toUpperCase() + model.title.slice(1);
}

/** Where a model's weights are. */
export function whereabouts(model: ModelTrait): string {
  if (model.packaged) return "in the package";
  if (model.cached) return "on this computer";
  return model.usable ? `${formatBytes(model.bytes)} download` : "not available";
}

/** The small print: what Python calls it, how big it is, on which terms. */
export function details(model: ModelTrait): string {
  const parts = [model.name === model.title ? "" : model.name, formatBytes(model.bytes), model.licence];
  return parts.filter(Boolean).join(" · ");
}

export function isRunning(download: DownloadTrait, name?: string): boolean {
  return download.state === "running" && (name === undefined || download.name === name);
}

/** An earlier download has left a part of it. */
export function isBegun(model: ModelTrait, download: DownloadTrait): boolean {
  return download.name === model.name && download.state !== "done" && download.done > 0;
}

/** What a person is asked before anything is fetched. */
export function question(model: ModelTrait, download: DownloadTrait): string {
  const terms = model.licence ? ` Its licence is ${model.licence}.` : "";
  return isBegun(model, download)
    ? `Go on with the download? ${formatBytes(download.done)} of ${formatBytes(model.bytes)} are here.${terms}`
    : `Download ${formatBytes(model.bytes)}?${terms}`;
}

/** How far a download is, in words; while nothing arrives, what it waits for. */
export function stage(download: DownloadTrait): string {
  if (download.message) return download.message;
  if (download.done >= download.total) return "Checking the file…";
  return `${formatBytes(download.done)} of ${formatBytes(download.total)}`;
}

const QUARTER = 25;

/** For screen readers: the beginning, each quarter and the end of a download, and a change of model. */
export function announceModels(store: Store, view: ViewState): () => void {
  const say = (text: string): void => void (view.announcement.value = text);
  const titled = (name: string): string => {
    const model = store.models.peek().find((one) => one.name === name);
    return model ? titleOf(model) : name;
  };
  let { state } = store.download.peek();
  let quarter = 0;
  const stopDownloads = effect(() => {
    const download = store.download.value;
    const now = Math.floor(percentOf(download) / QUARTER);
    if (download.state !== state) {
      state = download.state;
      quarter = now;
      if (state === "running") say(`Downloading ${titled(download.name)}`);
      else if (state === "done") say(`${titled(download.name)} is downloaded`);
      else if (state === "idle") say("Download cancelled");
    } else if (state === "running" && now !== quarter) {
      quarter = now;
      if (now > 0) say(`${titled(download.name)}: ${now * QUARTER} percent`);
    }
  });
  let model = store.model.peek();
  const stopModels = effect(() => {
    const present = store.model.value;
    if (present === model) return;
    model = present;
    say(`${titled(present)} answers now`);
  });
  return () => {
    stopDownloads();
    stopModels();
  };
}
