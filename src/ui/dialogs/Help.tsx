/** The keys, in a dialog, and the way to the description of the language. */
import { set } from '../../store/state.ts';
import { KEYS, LANGUAGE_TITLE } from '../strings-later.ts';
import './dialogs.css';

export default function Help(): React.JSX.Element {
  return (
    <>
      <dl className="keys">
        {KEYS.map(([keys, what]) => (
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
        {LANGUAGE_TITLE}
      </button>
    </>
  );
}
