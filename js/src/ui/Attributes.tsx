// What is said of the selected mask beside its label: one field for each attribute, by its kind.
import type { ComponentChildren, JSX } from "preact";
import { useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
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

/** What is being typed stays, whatever comes from the kernel meanwhile. */
function Typed({ attribute, value, onChange }: FieldProps): JSX.Element {
  const { store, focusStage } = useWidget();
  const field = useRef<HTMLInputElement>(null);
  const typing = useRef(false);
  const before = value === undefined ? "" : String(value);
  const number = attribute.kind === "number";
  const refusal = store.notice.value?.id;
  useLayoutEffect(() => {
    if (!typing.current) field.current!.value = before;
  }, [before, refusal]);
  return (
    <Line name={attribute.name}>
      <input
        ref={field}
        class="sw-input"
        type={number ? "number" : "text"}
        step="any"
        maxLength={MAX_TEXT}
        data-testid="attribute"
        data-lm-suppress-shortcuts="true"
        onInput={() => (typing.current = true)}
        onKeyDown={(event) => {
          if (event.isComposing || (event.key !== "Enter" && event.key !== "Escape")) return;
          event.preventDefault();
          event.stopPropagation();
          if (event.key === "Escape") event.currentTarget.value = before;
          focusStage(); // which ends the typing
        }}
        onBlur={(event) => {
          typing.current = false;
          const { value: text, validity } = event.currentTarget;
          const wrong = number && (validity?.badInput || !Number.isFinite(Number(text)));
          if (wrong) event.currentTarget.value = before;
          else if (text !== before) onChange(text === "" ? null : number ? Number(text) : text);
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

/** What was chosen here, by attribute, until the kernel says so too or refuses it. */
function usePending(selected: AnnotationTrait): {
  valueOf: (name: string) => AttributeValue | undefined;
  change: (name: string, value: AttributeValue | null) => void;
} {
  const { store, actions } = useWidget();
  const pending = useSignal(new Map<string, AttributeValue | null>());
  const refusal = store.notice.value?.id;
  const values = selected.attributes ?? {};
  const held = (name: string): AttributeValue | null =>
    Object.hasOwn(values, name) ? (values[name] ?? null) : null;
  const left = new Map([...pending.value].filter(([name, value]) => !same(value, held(name))));
  useLayoutEffect(() => {
    if (left.size < pending.peek().size) pending.value = left;
  });
  useLayoutEffect(() => {
    if (pending.peek().size > 0) pending.value = new Map();
  }, [refusal]);
  return {
    valueOf: (name) => (left.has(name) ? left.get(name) : held(name)) ?? undefined,
    change: (name, value) => {
      pending.value = new Map(pending.peek()).set(name, value);
      actions.describe(selected.id, name, value);
    },
  };
}

function same(a: AttributeValue | null, b: AttributeValue | null): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

interface EditorProps {
  selected: AnnotationTrait;
  attributes: readonly AttributeTrait[];
}

function Editor({ selected, attributes }: EditorProps): JSX.Element {
  const { valueOf, change } = usePending(selected);
  return (
    <section class="sw-section sw-attributes" aria-label="Attributes of the selected mask" data-testid="attributes">
      <header class="sw-heading">
        <h3>Attributes</h3>
      </header>
      {attributes.map((attribute) => {
        const Field = FIELDS[attribute.kind];
        const { name } = attribute;
        return (
          <Field key={name} attribute={attribute} value={valueOf(name)} onChange={(now) => change(name, now)} />
        );
      })}
      <Parent selected={selected} />
    </section>
  );
}

export function Attributes(): JSX.Element | null {
  const { store, view } = useWidget();
  const selected = store.annotations.value.find((a) => a.id === view.selected.value);
  const attributes = store.labels.value.find(({ name }) => name === selected?.label)?.attributes ?? [];
  if (!selected || (attributes.length === 0 && !selected.parent)) return null;
  return <Editor key={selected.id} selected={selected} attributes={attributes} />;
}
