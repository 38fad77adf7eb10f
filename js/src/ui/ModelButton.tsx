// The model's name in the status line, which opens the menu; and beside it, how far a download is.
import type { JSX } from "preact";
import { isRunning, percentOf, stage, titleOf } from "../state/models";
import { Button } from "./controls";
import { useWidget } from "./context";
import { ChevronIcon, CloseIcon } from "./icons";

export function ModelButton(): JSX.Element {
  const { store, view, actions } = useWidget();
  const status = store.status.value;
  const name = status.model || "No model";
  const words = (
    <>
      <i class="sw-lamp" aria-hidden="true" />
      <span class="sw-ellipsis">
        {name}
        {status.device && <span class="sw-device"> on {status.device}</span>}
      </span>
    </>
  );
  // Only a kernel has others.
  if (store.host.standalone) return <span class="sw-item sw-lead">{words}</span>;
  if (store.host.connected?.value === false) return <span class="sw-item">{name}</span>;
  return (
    <button
      type="button"
      class="sw-button sw-lead"
      aria-label={`Model: ${name}${status.device && ` on ${status.device}`}. Choose another`}
      aria-haspopup="menu"
      aria-expanded={view.modelsOpen.value}
      data-testid="model-button"
      data-tip="Choose a model"
      data-keys="M"
      data-lm-suppress-shortcuts="true"
      onClick={actions.toggleModels}
    >
      {words}
      <ChevronIcon />
    </button>
  );
}

export function DownloadLine(): JSX.Element | null {
  const { store, actions, focusStage } = useWidget();
  const download = store.download.value;
  if (!isRunning(download)) return null;
  const percent = percentOf(download);
  const model = store.models.value.find((one) => one.name === download.name);
  return (
    <span class="sw-item sw-download" data-testid="download-line">
      <span
        class="sw-bar"
        role="progressbar"
        aria-label={`Downloading ${model ? titleOf(model) : download.name}`}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={percent}
        aria-valuetext={`${percent} percent, ${stage(download)}`}
      >
        <i style={{ width: `${percent}%` }} />
      </span>
      <span class="sw-number" aria-hidden="true">{percent}%</span>
      <Button
        label="Cancel the download"
        tip="Cancel the download; what is here stays"
        class="sw-small"
        testid="cancel-download-line"
        onPress={() => {
          actions.cancelDownload();
          focusStage();
        }}
      >
        <CloseIcon />
      </Button>
    </span>
  );
}
