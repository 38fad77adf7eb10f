// What a view of the drawer says where it has nothing to show.
import type { ComponentChildren, JSX } from "preact";

export function Missing({ children }: { children: ComponentChildren }): JSX.Element {
  return (
    <p class="sw-missing" data-testid="lesson-missing">
      {children}
    </p>
  );
}

export const NoDraft = (): JSX.Element => (
  <Missing>Click a thing in the picture, and it shows here.</Missing>
);
