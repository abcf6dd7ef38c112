/** What the panels in the place of the right one share: a heading that takes the focus, and two ways to close them. */
import { useEffect, useRef, type ReactNode } from 'react';
import { isNarrow } from './audit/Jump.tsx';
import { STRINGS } from './strings.ts';

interface PanelFrameProps {
  readonly className: string;
  readonly title: string;
  /** Whose button in the header has the focus afterwards: its `data-opens`. */
  readonly opener: string;
  readonly close: () => void;
  /** Opens by itself beside the stage, and leaves the focus where it is there. */
  readonly uncalled?: boolean;
  /** Between heading and button. */
  readonly choice?: ReactNode;
  readonly children: ReactNode;
}

export function PanelFrame(props: PanelFrameProps): React.JSX.Element {
  const { className, title, opener, close, uncalled = false, choice, children } = props;
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    if (!uncalled || isNarrow()) heading.current?.focus({ preventScroll: !isNarrow() });
    if (isNarrow()) heading.current?.scrollIntoView();
  }, [uncalled]);
  const leave = (): void => {
    close();
    document.querySelector<HTMLElement>(`[data-opens="${opener}"]`)?.focus();
  };
  return (
    <section
      className={className}
      aria-label={title}
      onKeyDown={(event) => {
        if (event.key !== 'Escape') return;
        event.preventDefault();
        leave();
      }}
    >
      <header>
        <h2 ref={heading} tabIndex={-1}>
          {title}
        </h2>
        {choice}
        <button type="button" onClick={leave}>
          {STRINGS.close}
        </button>
      </header>
      {children}
    </section>
  );
}
