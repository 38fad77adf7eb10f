// The whole face of the widget, put together.
import type { JSX } from "preact";
import { AnnotationList } from "./AnnotationList";
import { Attributes } from "./Attributes";
import { useWidget } from "./context";
import { KeySheet } from "./KeySheet";
import { Labels } from "./Labels";
import { LookPanel } from "./LookPanel";
import { ModelMenu } from "./ModelMenu";
import { Notice } from "./Notice";
import { Proposals } from "./Proposals";
import { Stage } from "./Stage";
import { StatusLine } from "./StatusLine";
import { Toolbar } from "./Toolbar";
import { Tooltip } from "./Tooltip";
import { Tray } from "./Tray";

function LiveRegion(): JSX.Element {
  const { view } = useWidget();
  return (
    <div class="sw-unseen" role="status" aria-live="polite" data-testid="live">
      {view.announcement.value}
    </div>
  );
}

/** Proposals while there are some to judge; a draft's candidates go before them. */
function Choices(): JSX.Element {
  const { store, view } = useWidget();
  const proposals = store.proposals.value.length > 0 || view.proposals.running.value;
  return proposals && store.prompts.value.length === 0 ? <Proposals /> : <Tray />;
}

export function App(): JSX.Element {
  return (
    <>
      <div class="sw-frame">
        <Notice />
        <Toolbar />
        <Stage />
        <aside class="sw-panel" aria-label="Candidates, labels and kept annotations">
          <Choices />
          <Labels />
          <Attributes />
          <AnnotationList />
        </aside>
        <StatusLine />
        <ModelMenu />
        <LookPanel />
        <KeySheet />
      </div>
      <Tooltip />
      <LiveRegion />
    </>
  );
}
