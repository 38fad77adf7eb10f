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

export const PointIcon = () => (
  <Icon>
    <circle cx="10" cy="10" r="2.25" />
    <path d="M10 2.75v3M10 14.25v3M2.75 10h3M14.25 10h3" />
  </Icon>
);
export const BoxIcon = () => (
  <Icon>
    <path d="M5.25 3.75h9.5M5.25 16.25h9.5M3.75 5.25v9.5M16.25 5.25v9.5" stroke-dasharray="2.2 1.9" />
    <path d="M3.75 5.5V3.75H5.5M14.5 3.75h1.75V5.5M16.25 14.5v1.75H14.5M5.5 16.25H3.75V14.5" />
  </Icon>
);
export const BoxesIcon = () => (
  <Icon>
    <rect x="2.75" y="3.75" width="7.5" height="6.5" rx="1" />
    <rect x="12.75" y="3.75" width="4.5" height="4.5" rx="1" />
    <path d="M8.25 13.25v3h9v-5h-4" stroke-dasharray="2.2 1.7" />
  </Icon>
);
export const PolygonIcon = () => (
  <Icon>
    <path d="M9.25 3.9 4.1 7.6M3.9 9.6l1.9 5.3M7.6 16h5M14.4 14.9l1.8-5.3M15.8 7.6l-5-3.7" />
    <circle cx="10" cy="3.5" r="1.25" />
    <circle cx="3.4" cy="8.4" r="1.25" />
    <circle cx="16.6" cy="8.4" r="1.25" />
    <circle cx="6.2" cy="16" r="1.25" />
    <circle cx="13.8" cy="16" r="1.25" />
  </Icon>
);
export const LassoIcon = () => (
  <Icon>
    <path d="M6.5 12.6C4.3 11.9 2.9 10.4 2.9 8.6c0-2.8 3.2-5 7.1-5s7.1 2.2 7.1 5-3.2 5-7.1 5c-.4 0-.9 0-1.3-.1" />
    <circle cx="7.4" cy="13.2" r="1.4" />
    <path d="M7 14.6c.2 1-.3 1.9-1.5 2.4" />
  </Icon>
);
export const BrushIcon = () => (
  <Icon>
    <path d="m8.4 9.9 6.9-6.5c.6-.5 1.5.4 1 1l-6.4 7" />
    <path d="M8.3 10.1a2.6 2.6 0 0 1 1.7 1.7c.2 2.9-2.6 4.7-6.6 4.3 1.4-.9 1.3-1.9 1.6-3.3.3-1.7 1.7-2.8 3.3-2.7Z" />
  </Icon>
);
export const EraserIcon = () => (
  <Icon>
    <path d="M7.2 16.25 3.4 12.4a1.1 1.1 0 0 1 0-1.6l7-7a1.1 1.1 0 0 1 1.6 0l4.5 4.5a1.1 1.1 0 0 1 0 1.6l-6.3 6.35H7.2ZM6.7 7.5l6.2 6.2M9.5 16.25h7" />
  </Icon>
);
export const SelectIcon = () => (
  <Icon>
    <path d="m5 3.25 10.5 6.5-4.75 1.2L8.3 15.5 5 3.25ZM11 11l3.25 5.25" />
  </Icon>
);
export const RegionIcon = () => (
  <Icon>
    <path d="M3.5 6.5v-3h3M13.5 3.5h3v3M16.5 13.5v3h-3M6.5 16.5h-3v-3" />
    <circle cx="9.5" cy="9.5" r="2.75" />
    <path d="m11.6 11.6 2 2" />
  </Icon>
);
export const LookIcon = () => (
  <Icon>
    <circle cx="10" cy="10" r="6.75" />
    <path d="M10 3.25v13.5" />
    <path d="M10 5.5h4.6M10 8.5h6.2M10 11.5h6.2M10 14.5h4.6" stroke-width="1.25" />
  </Icon>
);
export const TidyIcon = () => (
  <Icon>
    <path d="M4.25 9.5a5.75 5.75 0 0 1 11.5 0c0 3.4-2.6 6-5.75 6s-5.75-2.6-5.75-6Z" />
    <path d="m7.6 9.6 1.75 1.75L12.75 8" />
    <path d="M16.5 16.25h.01" stroke-width="2" />
  </Icon>
);
export const StartIcon = () => (
  <Icon>
    <path d="M3.75 8.75c0-3.1 2.6-5 5.6-5 3.2 0 5.4 2 5.4 4.4" stroke-dasharray="2.2 1.9" />
    <path d="M3.75 8.75c0 3.6 2.4 6 5 6" stroke-dasharray="2.2 1.9" />
    <path d="M14 11v5.5M11.25 13.75h5.5" />
  </Icon>
);
export const FrontIcon = () => (
  <Icon>
    <path d="M4 3.5h12M10 16.5V7M6.25 10.5 10 6.75l3.75 3.75" />
  </Icon>
);
export const BackIcon = () => (
  <Icon>
    <path d="M4 16.5h12M10 3.5V13M6.25 9.5 10 13.25l3.75-3.75" />
  </Icon>
);
export const ForwardIcon = () => (
  <Icon>
    <path d="M10 15.5v-11M6.25 8 10 4.25 13.75 8" />
  </Icon>
);
export const BackwardIcon = () => (
  <Icon>
    <path d="M10 4.5v11M6.25 12 10 15.75 13.75 12" />
  </Icon>
);
export const AddShapeIcon = () => (
  <Icon>
    <path d="M12.6 7.4a5 5 0 1 0-5.2 5.2 5 5 0 1 0 5.2-5.2Z" fill="currentColor" fill-opacity="0.3" />
  </Icon>
);
export const SubtractShapeIcon = () => (
  <Icon>
    <path d="M12.6 7.4a5 5 0 1 0-5.2 5.2 5 5 0 0 1 5.2-5.2Z" fill="currentColor" fill-opacity="0.3" />
    <path d="M12.6 7.4a5 5 0 1 1-5.2 5.2" stroke-dasharray="2 2" />
  </Icon>
);
export const IntersectIcon = () => (
  <Icon>
    <circle cx="7.7" cy="7.7" r="4.95" />
    <circle cx="12.3" cy="12.3" r="4.95" />
    <path d="M12.6 7.4a5 5 0 0 1-5.2 5.2 5 5 0 0 1 5.2-5.2Z" fill="currentColor" fill-opacity="0.45" stroke="none" />
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
