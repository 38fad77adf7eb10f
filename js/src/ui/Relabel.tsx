// The label of a kept mask, to be changed.
import type { JSX } from "preact";
import type { AnnotationTrait } from "../host/traits";
import { useWidget } from "./context";
import { ChevronIcon } from "./icons";

export function Relabel({ annotation }: { annotation: AnnotationTrait }): JSX.Element {
  const { store, actions } = useWidget();
  const names = store.labels.value.map((label) => label.name);
  if (!names.includes(annotation.label)) names.unshift(annotation.label);
  return (
    <span class="sw-select">
      <select
        aria-label="Label of this annotation"
        data-testid="relabel"
        data-lm-suppress-shortcuts="true"
        data-tip="Change the label"
        value={annotation.label}
        onChange={(event) => actions.relabel([annotation.id], event.currentTarget.value)}
      >
        {names.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
      <ChevronIcon />
    </span>
  );
}
