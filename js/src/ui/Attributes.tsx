// What is said of the selected mask beside its label: one field for each attribute, by its kind.
import type { ComponentChildren, JSX } from "preact";
import type { AnnotationTrait, AttributeTrait, AttributeValue } from "../host/traits";
import { useWidget } from "./context";

/** So many masks may be chosen from as the whole that one is a part of. */
const MAX_PARENTS = 200;
const MAX_TEXT = 10_000;

interface FieldProps {
  attribute: AttributeTrait;
  value: AttributeValue | undefined;
  onChange: (value: AttributeValue | null) => void;
}

function Line({ name, children }: { name: string; children: ComponentChildren }): JSX.Element {
  return (
    <label class="sw-attribute">
      <span class="sw-ellipsis">{name}</span>
      {children}
    </label>
  );
}

function Typed({ attribute, value, onChange }: FieldProps): JSX.Element {
  const { focusStage } = useWidget();
  const before = value === undefined ? "" : String(value);
  const number = attribute.kind === "number";
  return (
    <Line name={attribute.name}>
      <input
        class="sw-input"
        type={number ? "number" : "text"}
        step="any"
        maxLength={MAX_TEXT}
        value={before}
        data-testid="attribute"
        data-lm-suppress-shortcuts="true"
        onKeyDown={(event) => {
          if (event.isComposing || (event.key !== "Enter" && event.key !== "Escape")) return;
          event.preventDefault();
          event.stopPropagation();
          if (event.key === "Escape") event.currentTarget.value = before;
          focusStage(); // which ends the typing
        }}
        onBlur={(event) => {
          const { value: text, validity } = event.currentTarget;
          if (text === before) return;
          const wrong = number && (validity?.badInput || !Number.isFinite(Number(text)));
          if (wrong) event.currentTarget.value = before;
          else if (text === "") onChange(null);
          else onChange(number ? Number(text) : text);
        }}
      />
    </Line>
  );
}

function Choice({ attribute, value, onChange }: FieldProps): JSX.Element {
  return (
    <Line name={attribute.name}>
      <select
        class="sw-input"
        value={typeof value === "string" ? value : ""}
        data-testid="attribute"
        data-lm-suppress-shortcuts="true"
        onChange={(event) => onChange(event.currentTarget.value || null)}
      >
        <option value="">–</option>
        {(attribute.choices ?? []).map((choice) => (
          <option key={choice} value={choice}>
            {choice}
          </option>
        ))}
      </select>
    </Line>
  );
}

function Check(props: { name: string; on: boolean; onChange: (on: boolean) => void }): JSX.Element {
  return (
    <label class="sw-check">
      <input
        type="checkbox"
        checked={props.on}
        data-testid="attribute"
        data-lm-suppress-shortcuts="true"
        onChange={(event) => props.onChange(event.currentTarget.checked)}
      />
      <span class="sw-ellipsis">{props.name}</span>
    </label>
  );
}

function Tag({ attribute, value, onChange }: FieldProps): JSX.Element {
  const { name, choices } = attribute;
  if (!choices) return <Check name={name} on={value === true} onChange={onChange} />;
  const chosen = Array.isArray(value) ? value : [];
  return (
    <fieldset class="sw-tags">
      <legend class="sw-ellipsis">{name}</legend>
      {choices.map((choice) => (
        <Check
          key={choice}
          name={choice}
          on={chosen.includes(choice)}
          onChange={(on) => {
            const now = choices.filter((one) => (one === choice ? on : chosen.includes(one)));
            onChange(now.length > 0 ? now : null);
          }}
        />
      ))}
    </fieldset>
  );
}

const FIELDS = { text: Typed, number: Typed, choice: Choice, tag: Tag };

function Parent({ selected }: { selected: AnnotationTrait }): JSX.Element | null {
  const { store, actions } = useWidget();
  const all = store.annotations.value;
  const others = all.filter((a) => a.id === selected.parent || (a.id !== selected.id && all.length <= MAX_PARENTS));
  if (others.length === 0) return null;
  return (
    <Line name="Part of">
      <select
        class="sw-input"
        value={selected.parent ?? ""}
        data-testid="parent"
        data-lm-suppress-shortcuts="true"
        onChange={(event) => actions.setParent(selected.id, event.currentTarget.value)}
      >
        <option value="">–</option>
        {others.map((a) => (
          <option key={a.id} value={a.id}>
            {`${a.label} ${all.indexOf(a) + 1}`}
          </option>
        ))}
      </select>
    </Line>
  );
}

export function Attributes(): JSX.Element | null {
  const { store, view, actions } = useWidget();
  const selected = store.annotations.value.find((a) => a.id === view.selected.value);
  const attributes = store.labels.value.find(({ name }) => name === selected?.label)?.attributes ?? [];
  if (!selected || (attributes.length === 0 && !selected.parent)) return null;
  const { id } = selected;
  return (
    <section class="sw-section sw-attributes" aria-label="Attributes of the selected mask" data-testid="attributes">
      <header class="sw-heading">
        <h3>Attributes</h3>
      </header>
      {attributes.map((attribute) => {
        const Field = FIELDS[attribute.kind];
        const values = selected.attributes ?? {};
        const value = Object.hasOwn(values, attribute.name) ? values[attribute.name] : undefined;
        return (
          <Field
            key={`${id} ${attribute.name}`}
            attribute={attribute}
            value={value}
            onChange={(now) => actions.describe(id, attribute.name, now)}
          />
        );
      })}
      <Parent key={id} selected={selected} />
    </section>
  );
}
