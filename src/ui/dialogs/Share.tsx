/** Passing a scenario on: link, Markdown, page fragment, QR code, file. All of it is made here, nothing is sent. */
import { useEffect, useState } from 'react';
import { encode } from 'uqr';
import { openScenario } from '../../store/document.ts';
import { titleOf } from '../../store/drafts.ts';
import { beginBusy } from '../../store/busy.ts';
import { set, store } from '../../store/state.ts';
import { BOUNDS } from '../../core/bounds.ts';
import { currentLink } from '../open-link.ts';

import { SHARE } from '../strings-later.ts';
import { Loading } from '../use-app.ts';
import './dialogs.css';

/** Beyond this many characters a code is too fine for a camera at the back of a room. */
const LONGEST_QR = 320;
/** Many mail and chat programs cut links beyond this. */
const LONGEST_SAFE = 2000;

export default function Share(): React.JSX.Element {
  const link = useLink();
  const title = titleOf(store.getState().text);
  if (link === undefined) return <Loading said />;
  const tooLong = link.length > BOUNDS.linkBytes;
  return (
    <div className="share">
      <p className="quiet">{SHARE.privacy}</p>
      {tooLong ? <p className="trouble">{SHARE.tooLong}</p> : <Links link={link} title={title} />}
      <section>
        <h3>{SHARE.file}</h3>
        <div className="buttons">
          <button
            type="button"
            onClick={() => {
              saveFile(title);
            }}
          >
            {SHARE.save}
          </button>
          <OpenFile />
        </div>
      </section>
    </div>
  );
}

function Links({ link, title }: { link: string; title: string }): React.JSX.Element {
  const hash = link.slice(link.indexOf('#'));
  return (
    <>
      <Copyable label={SHARE.link} text={link} hash={hash} />
      <p className="quiet">
        {`${SHARE.length(link.length)} ${link.length > LONGEST_SAFE ? SHARE.advice : SHARE.short}`}
      </p>
      <Copyable label={SHARE.markdown} text={`[${title.replace(/[[\]]/g, '')}](${link})`} hash={hash} />
      <Copyable
        label={SHARE.iframe}
        text={`<iframe src="${link}" title="${title.replace(/["<>&]/g, '')}" width="1000" height="640"></iframe>`}
        hash={hash}
      />
      <section>
        <h3>{SHARE.qr}</h3>
        {link.length > LONGEST_QR ? <p className="quiet">{SHARE.noQr}</p> : <QrCode text={link} />}
      </section>
    </>
  );
}

function useLink(): string | undefined {
  const [link, setLink] = useState<string>();
  useEffect(() => {
    const done = beginBusy();
    void currentLink()
      .then((hash) => {
        setLink(new URL(hash ?? '#/', location.href).href);
      })
      .finally(done);
    return done;
  }, []);
  return link;
}

function Copyable({ label, text, hash }: { label: string; text: string; hash: string }): React.JSX.Element {
  const [copied, setCopied] = useState(false);
  return (
    <label className="copyable">
      <span>{label}</span>
      <input
        readOnly
        value={text}
        onFocus={(event) => {
          event.target.select();
        }}
      />
      <button
        type="button"
        onClick={() => {
          // A shared state is a place to come back to.
          if (location.hash !== hash) history.pushState(null, '', hash);
          void navigator.clipboard.writeText(text).then(
            () => {
              setCopied(true);
            },
            () => {
              setCopied(false);
            },
          );
        }}
      >
        {copied ? SHARE.copied : SHARE.copy}
      </button>
    </label>
  );
}

function QrCode({ text }: { text: string }): React.JSX.Element {
  const { data, size } = encode(text, { ecc: 'M', border: 2 });
  const path = data
    .flatMap((row, y) => row.map((dark, x) => (dark ? `M${String(x)} ${String(y)}h1v1h-1z` : '')))
    .join('');
  return (
    <svg className="qr" viewBox={`0 0 ${String(size)} ${String(size)}`} role="img" aria-label={SHARE.qr}>
      <rect width={size} height={size} fill="#fff" />
      <path d={path} fill="#000" shapeRendering="crispEdges" />
    </svg>
  );
}

function saveFile(title: string): void {
  const name = title
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
    .slice(0, 40);
  const url = URL.createObjectURL(new Blob([store.getState().text], { type: 'text/plain' }));
  const anchor = document.createElement('a');
  anchor.href = url;
  anchor.download = `${name === '' ? 'scenario' : name}.mmu`;
  anchor.click();
  // The browser reads it after this function has ended.
  setTimeout(() => {
    URL.revokeObjectURL(url);
  }, 10_000);
}

function OpenFile(): React.JSX.Element {
  const [trouble, setTrouble] = useState('');
  const open = async (file: File | undefined): Promise<void> => {
    if (file === undefined) return;
    if (file.size > BOUNDS.scenarioBytes) {
      setTrouble(SHARE.fileTooLarge(file.size, BOUNDS.scenarioBytes));
      return;
    }
    const text = await file.text();
    set({ dialog: undefined, linkTrouble: [] });
    await openScenario({ text, settings: {} });
  };
  return (
    <>
      <label className="file">
        {SHARE.open}
        <input
          type="file"
          accept=".mmu,.txt,text/plain"
          onChange={(event) => {
            void open(event.target.files?.[0]);
          }}
        />
      </label>
      {trouble !== '' && (
        <p className="trouble" role="alert">
          {trouble}
        </p>
      )}
    </>
  );
}
