/** The keys, in a dialog, and the way to the description of the language. */
import { set } from '../../store/state.ts';
import { Modal } from './Modal.tsx';
import { STRINGS } from '../strings.ts';

export function Help(): React.JSX.Element {
  return (
    <Modal name="help" title={STRINGS.help}>
      {() => (
        <>
          <dl className="keys">
            {STRINGS.keys.map(([keys, what]) => (
              <div key={keys}>
                <dt>{keys}</dt>
                <dd>{what}</dd>
              </div>
            ))}
          </dl>
          <button
            type="button"
            onClick={() => {
              set({ dialog: 'language' });
            }}
          >
            {STRINGS.languageOpen}
          </button>
        </>
      )}
    </Modal>
  );
}
