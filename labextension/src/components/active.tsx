/** The active build: how large it is, who is in it, and its files. */
import * as React from 'react';
import { saySize } from '../words';
import { Section, When } from './common';
import { Downloads } from './downloads';
import { ImageLine } from './image';
import type { IShownProps } from './pageprops';

export function Active(props: IShownProps): JSX.Element | null {
  const { commands, environment, trans, view } = props;
  const build = environment.current_build;
  if (!build) {
    return null;
  }
  const running = view.model.countRunning(view.target);
  return (
    <Section title={trans.__('Active build')}>
      <dl className="csh-Facts">
        <Fact name={trans.__('Build')}>{build.id}</Fact>
        {build.ended_on && (
          <Fact name={trans.__('Built')}>
            <When time={build.ended_on} />
          </Fact>
        )}
        <Fact name={trans.__('Size')}>
          {trans.__('%1 of its own, %2 shared with others', saySize(build.size ?? 0), saySize(build.shared_size ?? 0))}
        </Fact>
        {running > 0 && <Fact name={trans.__('In use')}>{trans._n('%1 kernel', '%1 kernels', running)}</Fact>}
      </dl>
      <Downloads build={build} commands={commands} trans={trans} view={view} />
      <ImageLine {...props} />
    </Section>
  );
}

function Fact(props: { readonly name: string; readonly children: React.ReactNode }): JSX.Element {
  return (
    <div>
      <dt>{props.name}</dt>
      <dd>{props.children}</dd>
    </div>
  );
}
