// One button for everything mode: it starts the run, shows how far it is, and stops it.
import type { JSX } from "preact";
import { Button } from "./controls";
import { useWidget } from "./context";
import { EverythingIcon, StopRingIcon } from "./icons";
import { useKeys } from "./useKeys";

export function EverythingButton(): JSX.Element {
  const { store, view, actions, focusStage } = useWidget();
  const keys = useKeys();
  const { done, total, found } = store.everything_run.value;
  if (!view.proposals.running.value) {
    return (
      <Button
        label="Propose masks for everything"
        keys={keys("everything")}
        class="sw-everything"
        testid="everything"
        disabled={!store.image.value}
        onPress={() => {
          actions.everything();
          focusStage();
        }}
      >
        <EverythingIcon />
        <span class="sw-segment-name">Everything</span>
      </Button>
    );
  }
  return (
    <Button
      label={`Stop looking: ${found} found so far`}
      tip="Stop; what is found stays"
      keys="Esc"
      class="sw-everything sw-running"
      testid="cancel-everything"
      onPress={() => {
        actions.cancelEverything();
        focusStage();
      }}
    >
      <StopRingIcon share={total > 0 ? done / total : 0} />
      <span class="sw-segment-name">{found} found</span>
    </Button>
  );
}
