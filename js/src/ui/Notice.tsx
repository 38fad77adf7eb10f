// A message that can be dismissed: what went wrong and what to do, never in the way of the picture.
import type { JSX } from "preact";
import { Button } from "./controls";
import { useWidget } from "./context";
import { AlertIcon, CloseIcon, InfoIcon } from "./icons";

export function Notice(): JSX.Element | null {
  const { store, view, actions, focusStage } = useWidget();
  const notice = view.localNotice.value ?? store.notice.value;
  if (!notice) return null;
  const error = notice.level === "error";
  return (
    <div
      class={`sw-notice ${error ? "sw-error" : "sw-info"}`}
      role={error ? "alert" : "status"}
      data-testid="notice"
      data-code={notice.code}
    >
      {error ? <AlertIcon /> : <InfoIcon />}
      <p>{notice.message}</p>
      <Button
        label="Dismiss"
        class="sw-small"
        testid="dismiss"
        onPress={() => {
          actions.dismissNotice();
          focusStage();
        }}
      >
        <CloseIcon />
      </Button>
    </div>
  );
}
