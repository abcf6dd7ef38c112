/** All dialogs; the larger ones are loaded when first opened. */
import { lazy, Suspense } from 'react';
import { STRINGS } from '../strings.ts';
import { Help } from './Help.tsx';
import { Language } from './Language.tsx';
import { Modal } from './Modal.tsx';

const Share = lazy(() => import('./Share.tsx'));
const Scenarios = lazy(() => import('./Scenarios.tsx'));

export function Dialogs(): React.JSX.Element {
  return (
    <>
      <Help />
      <Suspense>
        <Language />
      </Suspense>
      <Modal name="share" title={STRINGS.share.title} className="wide">
        {() => (
          <Suspense fallback={<p>{STRINGS.loading}</p>}>
            <Share />
          </Suspense>
        )}
      </Modal>
      <Modal name="scenarios" title={STRINGS.scenarios.title} className="wide">
        {() => (
          <Suspense fallback={<p>{STRINGS.loading}</p>}>
            <Scenarios />
          </Suspense>
        )}
      </Modal>
    </>
  );
}
