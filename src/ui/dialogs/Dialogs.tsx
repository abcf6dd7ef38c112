/** All dialogs: fetched when the first of them is opened; each has its contents fetched when it is opened first. */
import { lazy, Suspense } from 'react';
import { LANGUAGE_TITLE } from '../strings-later.ts';
import { STRINGS } from '../strings.ts';
import { Loading } from '../use-app.ts';
import { Modal } from './Modal.tsx';

const Help = lazy(() => import('./Help.tsx'));
const Language = lazy(() => import('./Language.tsx'));
const Share = lazy(() => import('./Share.tsx'));
const Scenarios = lazy(() => import('./Scenarios.tsx'));

const DIALOGS = [
  { name: 'help', title: STRINGS.help, Content: Help, className: '' },
  { name: 'language', title: LANGUAGE_TITLE, Content: Language, className: 'wide' },
  { name: 'share', title: STRINGS.share.title, Content: Share, className: 'wide' },
  { name: 'scenarios', title: STRINGS.scenarios.title, Content: Scenarios, className: 'wide' },
] as const;

export default function Dialogs(): React.JSX.Element {
  return (
    <>
      {DIALOGS.map(({ name, title, Content, className }) => (
        <Modal key={name} name={name} title={title} className={className}>
          <Suspense fallback={<Loading said />}>
            <Content />
          </Suspense>
        </Modal>
      ))}
    </>
  );
}
