// The icon set: one 20-unit grid, one 1.5 stroke, round ends, drawn for this widget.
import type { ComponentChildren, JSX } from "preact";

function Icon({ children }: { children: ComponentChildren }): JSX.Element {
  return (
    <svg
      class="sw-icon"
      viewBox="0 0 20 20"
      fill="none"
      stroke="currentColor"
      stroke-width="1.5"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      {children}
    </svg>
  );
}

export const IncludeIcon = () => (
  <Icon>
    <circle cx="10" cy="10" r="6.75" />
    <path d="M10 7.25v5.5M7.25 10h5.5" />
  </Icon>
);
export const ExcludeIcon = () => (
  <Icon>
    <circle cx="10" cy="10" r="6.75" />
    <path d="M7.25 10h5.5" />
  </Icon>
);
export const UndoIcon = () => (
  <Icon>
    <path d="M7 4.5 3.5 8 7 11.5" />
    <path d="M3.75 8H12a4.25 4.25 0 0 1 0 8.5H8.5" />
  </Icon>
);
export const RedoIcon = () => (
  <Icon>
    <path d="M13 4.5 16.5 8 13 11.5" />
    <path d="M16.25 8H8a4.25 4.25 0 0 0 0 8.5h3.5" />
  </Icon>
);
export const ZoomInIcon = () => (
  <Icon>
    <circle cx="8.75" cy="8.75" r="5.25" />
    <path d="m12.6 12.6 3.9 3.9M8.75 6.5V11M6.5 8.75H11" />
  </Icon>
);
export const ZoomOutIcon = () => (
  <Icon>
    <circle cx="8.75" cy="8.75" r="5.25" />
    <path d="m12.6 12.6 3.9 3.9M6.5 8.75H11" />
  </Icon>
);
export const FitIcon = () => (
  <Icon>
    <path d="M3.5 7V4.5a1 1 0 0 1 1-1H7M13 3.5h2.5a1 1 0 0 1 1 1V7M16.5 13v2.5a1 1 0 0 1-1 1H13M7 16.5H4.5a1 1 0 0 1-1-1V13" />
    <rect x="6.75" y="6.75" width="6.5" height="6.5" rx="1" />
  </Icon>
);
export const EyeIcon = () => (
  <Icon>
    <path d="M2.25 10S5 4.75 10 4.75 17.75 10 17.75 10 15 15.25 10 15.25 2.25 10 2.25 10Z" />
    <circle cx="10" cy="10" r="2.25" />
  </Icon>
);
export const EyeOffIcon = () => (
  <Icon>
    <path d="M8 5c.63-.16 1.3-.25 2-.25 5 0 7.75 5.25 7.75 5.25a13 13 0 0 1-2.3 2.9M5.2 6.5A12.6 12.6 0 0 0 2.25 10S5 15.25 10 15.25c1.75 0 3.23-.64 4.44-1.5M3.5 3.5l13 13" />
  </Icon>
);
export const TrashIcon = () => (
  <Icon>
    <path d="M3.75 5.75h12.5M8 5.5V4a.75.75 0 0 1 .75-.75h2.5A.75.75 0 0 1 12 4v1.5M5.25 5.75l.65 9.6a1.25 1.25 0 0 0 1.25 1.15h5.7a1.25 1.25 0 0 0 1.25-1.15l.65-9.6M8.5 9v4.25M11.5 9v4.25" />
  </Icon>
);
export const CheckIcon = () => (
  <Icon>
    <path d="m4.5 10.5 3.75 3.75 7.25-8.5" />
  </Icon>
);
export const CloseIcon = () => (
  <Icon>
    <path d="m5.5 5.5 9 9m0-9-9 9" />
  </Icon>
);
export const PlusIcon = () => (
  <Icon>
    <path d="M10 4.5v11M4.5 10h11" />
  </Icon>
);
export const KeyboardIcon = () => (
  <Icon>
    <rect x="2.5" y="5" width="15" height="10" rx="1.75" />
    <path d="M5.5 8.25h.01M8.5 8.25h.01M11.5 8.25h.01M14.5 8.25h.01M7.25 11.75h5.5" />
  </Icon>
);
export const ChevronIcon = () => (
  <Icon>
    <path d="m6.5 8.25 3.5 3.5 3.5-3.5" />
  </Icon>
);
export const AlertIcon = () => (
  <Icon>
    <path d="M10 3.25 17.25 16H2.75L10 3.25ZM10 8.25v3.5M10 13.9h.01" />
  </Icon>
);
export const InfoIcon = () => (
  <Icon>
    <circle cx="10" cy="10" r="6.75" />
    <path d="M10 9.25v4M10 6.75h.01" />
  </Icon>
);
export const PictureIcon = () => (
  <Icon>
    <rect x="3" y="3.75" width="14" height="12.5" rx="1.75" />
    <circle cx="7.25" cy="7.75" r="1.25" />
    <path d="m3.5 14 4-3.75 2.75 2.5L13.5 9.5l3 3" />
  </Icon>
);
export const CandidatesIcon = () => (
  <Icon>
    <path d="M3.25 12.5c0-4 2.5-7.5 5.75-7.5s4.75 2 4.75 4.25S12.5 12 12.5 13.25" />
    <path d="M11.25 11.25 16.75 13.5l-2.4 1-1 2.4-2.1-5.65Z" />
    <path d="M6.5 9.75h.01M9 8h.01" />
  </Icon>
);
export const EverythingIcon = () => (
  <Icon>
    <circle cx="6" cy="6.25" r="2.75" />
    <path d="M11.25 4.75 13 3.25l3.25 1.5.5 3-2.5 1.75-2.75-1.25-.25-3.5Z" />
    <rect x="3.25" y="11.75" width="5" height="5" rx="1.25" />
    <path d="M13.75 11.5c2 0 3 1.25 3 2.75s-1.25 2.5-2.75 2.5-2.75-.75-2.75-2.25.75-3 2.5-3Z" />
  </Icon>
);

const RING = 2 * Math.PI * 7.25;

/** A ring that closes as the share goes from 0 to 1, around a square that stops it. */
export const StopRingIcon = ({ share }: { share: number }) => (
  <Icon>
    <circle class="sw-ring-track" cx="10" cy="10" r="7.25" />
    <circle
      class="sw-ring"
      cx="10"
      cy="10"
      r="7.25"
      transform="rotate(-90 10 10)"
      stroke-dasharray={RING}
      stroke-dashoffset={RING * (1 - Math.min(Math.max(share, 0), 1))}
      stroke-linecap="butt"
    />
    <rect x="7.5" y="7.5" width="5" height="5" rx="0.75" fill="currentColor" stroke="none" />
  </Icon>
);
