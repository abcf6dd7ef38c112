/** What stands in the place of the right panel: translation bench, audit, MMU context, the kernel's trace. */
import { lazy, Suspense } from 'react';
import { loadSentences } from '../scene/sentences.ts';
import { Loading, type SidePanelName } from './use-app.ts';

const AuditPanel = lazy(() => import('./audit/AuditPanel.tsx'));
const MmuPanel = lazy(() => import('./mmu/MmuPanel.tsx'));
const TracePanel = lazy(() => import('./trace/TracePanel.tsx'));
const TranslationBench = lazy(async () => {
  // What is tried out may come to steps that the run does not have.
  await loadSentences();
  return import('./probe/TranslationBench.tsx');
});

const PANELS: Readonly<Record<SidePanelName, React.ComponentType>> = {
  probing: TranslationBench,
  auditing: AuditPanel,
  context: MmuPanel,
  tracing: TracePanel,
};

export default function SidePanel({ name }: { name: SidePanelName }): React.JSX.Element {
  const Panel = PANELS[name];
  return (
    <Suspense fallback={<Loading />}>
      <Panel />
    </Suspense>
  );
}
