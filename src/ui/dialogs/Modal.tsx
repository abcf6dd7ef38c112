/** A dialog over the page, by the browser's own element: focus stays inside, Escape closes. */
import { useEffect, useRef } from 'react';
import { set, type Dialog } from '../../store/state.ts';
import { STRINGS } from '../strings.ts';
import { useApp } from '../use-app.ts';

export function Modal({
  name,
  title,
  className,
  children,
}: {
  name: Dialog;
  title: string;
  className?: string;
  /** Shown only while the dialog is open. */
  children: React.ReactNode;
}): React.JSX.Element {
  const open = useApp((state) => state.dialog === name);
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (open) dialog.current?.showModal();
    else dialog.current?.close();
  }, [open]);
  const close = (): void => {
    if (open) set({ dialog: undefined });
  };
  return (
    <dialog ref={dialog} className={className} aria-label={title} onClose={close}>
      {open && (
        <>
          <header>
            <h2>{title}</h2>
            <button type="button" onClick={close}>
              {STRINGS.close}
            </button>
          </header>
          {children}
        </>
      )}
    </dialog>
  );
}
