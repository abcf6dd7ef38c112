/** Text in which every term of the field has its meaning one hover or focus away. */
import { memo } from 'react';
import { GLOSSARY } from './glossary.ts';

const MEANING = new Map(GLOSSARY);
const PATTERN = new RegExp(
  `(?<![\\w-])(${[...MEANING.keys()]
    .sort((a, b) => b.length - a.length)
    .map((term) => term.replace('.', '\\.'))
    .join('|')})(?![\\w-])`,
  'g',
);

export default memo(function MarkedTerms({ children }: { children: string }): React.JSX.Element {
  const seen = new Set<string>();
  return (
    <>
      {children.split(PATTERN).map((part, index) => {
        const meaning = MEANING.get(part);
        if (index % 2 === 0 || meaning === undefined || seen.has(part)) return part;
        seen.add(part);
        return (
          <abbr key={`${part}${String(index)}`} title={meaning}>
            {part}
          </abbr>
        );
      })}
    </>
  );
});
