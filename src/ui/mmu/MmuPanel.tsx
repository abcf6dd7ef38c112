/** `struct kvm_mmu` of a vCPU at the cursor: the guest's paging context, the roots, and why they are two things. */
import { mmuViews } from '../../scene/mmu-view.ts';
import { set } from '../../store/state.ts';
import { PanelFrame } from '../PanelFrame.tsx';
import { useApp, useSettledRun } from '../use-app.ts';
import { MmuContexts } from './MmuContexts.tsx';
import { MMU } from './words.ts';
import './mmu.css';

export default function MmuPanel(): React.JSX.Element | null {
  const at = useSettledRun();
  const comparing = useApp((state) => state.runs.length > 1);
  if (at === undefined) return null;
  return (
    <PanelFrame
      className="mmu"
      title={comparing ? MMU.titleOfA : MMU.title}
      opener="context"
      close={() => {
        set({ contextOpen: false });
      }}
    >
      {/* The world is the one at the cursor: whoever moved the cursor has moved the timeline. */}
      <MmuContexts views={mmuViews(at.run.timeline.world)} />
    </PanelFrame>
  );
}
