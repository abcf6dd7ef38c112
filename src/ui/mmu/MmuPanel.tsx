/** `struct kvm_mmu` of a vCPU at the cursor: the guest's paging context, the roots, and why they are two things. */
import { useEffect, useRef } from 'react';
import { mmuViews } from '../../scene/mmu-view.ts';
import { set } from '../../store/state.ts';
import { isNarrow } from '../audit/Jump.tsx';
import { STRINGS } from '../strings.ts';
import { useApp, useSettledRun } from '../use-app.ts';
import { MmuContexts } from './MmuContexts.tsx';
import { MMU } from './words.ts';
import './mmu.css';

export default function MmuPanel(): React.JSX.Element | null {
  const at = useSettledRun();
  const comparing = useApp((state) => state.runs.length > 1);
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    heading.current?.focus({ preventScroll: !isNarrow() });
    if (isNarrow()) heading.current?.scrollIntoView();
  }, []);
  if (at === undefined) return null;
  const title = comparing ? MMU.titleOfA : MMU.title;
  const close = (): void => {
    set({ contextOpen: false });
    document.querySelector<HTMLElement>('[data-opens="context"]')?.focus();
  };
  return (
    <section
      className="mmu"
      aria-label={title}
      onKeyDown={(event) => {
        if (event.key !== 'Escape') return;
        event.preventDefault();
        close();
      }}
    >
      <header>
        <h2 ref={heading} tabIndex={-1}>
          {title}
        </h2>
        <button type="button" onClick={close}>
          {STRINGS.close}
        </button>
      </header>
      {/* The world is the one at the cursor: whoever moved the cursor has moved the timeline. */}
      <MmuContexts views={mmuViews(at.run.timeline.world)} />
    </section>
  );
}
