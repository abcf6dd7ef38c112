/** Text in which every term of the field has its meaning one hover or focus away, once the glossary has been fetched. */
import { lazy, memo, Suspense } from 'react';

const MarkedTerms = lazy(() => import('./MarkedTerms.tsx'));

export const Terms = memo(function Terms({ children }: { children: string }): React.JSX.Element {
  return (
    <Suspense fallback={children}>
      <MarkedTerms>{children}</MarkedTerms>
    </Suspense>
  );
});
