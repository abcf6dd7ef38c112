/** The keys, in a dialog. */
import { useEffect, useRef } from 'react';
import { set } from '../store/store.ts';
import { STRINGS } from './strings.ts';
import { useApp } from './use-app.ts';

export function Help(): React.JSX.Element {
  const open = useApp((state) => state.helpOpen);
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (open) dialog.current?.showModal();
    else dialog.current?.close();
  }, [open]);
  return (
    <dialog
      ref={dialog}
      aria-label={STRINGS.help}
      onClose={() => {
        set({ helpOpen: false });
      }}
    >
      <h2>{STRINGS.help}</h2>
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
          set({ helpOpen: false });
        }}
      >
        {STRINGS.close}
      </button>
    </dialog>
  );
}
