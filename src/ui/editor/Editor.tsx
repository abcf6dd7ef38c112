/** The scenario's text in an editor: a thin frame around CodeMirror, which shows the store's text and writes to it. */
import { useEffect, useRef } from 'react';
import { store } from '../../store/state.ts';
import { STRINGS } from '../strings.ts';
import { createEditor } from './codemirror.ts';
import './editor.css';

export default function Editor(): React.JSX.Element {
  const host = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (host.current === null) return undefined;
    const editor = createEditor(host.current, STRINGS.editor.label);
    const unsubscribe = store.subscribe(editor.update);
    editor.update(store.getState());
    return () => {
      unsubscribe();
      editor.destroy();
    };
  }, []);
  return <div ref={host} className="editor" />;
}
