/** The packages of a build, searched and page by page, and a warning of those that departed. */
import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import { BuildPackages } from '../packages';
import type { IApi, Package } from '../tokens';
import { sayDeparted, sayUnknownDeparted, sayWhy } from '../words';
import { Button, Notice, Section, useSignal } from './common';

/** Milliseconds after the last key until the service is asked. */
const TYPING = 200;

export interface IPackagesProps {
  readonly api: IApi;
  readonly buildId: number;
  readonly trans: TranslationBundle;
}

/** Closed at first, and nothing is asked for until it is opened. */
export function PackagesSection(props: IPackagesProps): JSX.Element {
  const { buildId, trans } = props;
  const [isOpen, setIsOpen] = React.useState(false);
  return (
    <Section title={trans.__('Packages')}>
      <Button
        label={isOpen ? trans.__('Hide the packages') : trans.__('Show the packages of build %1', buildId)}
        expanded={isOpen}
        onClick={() => setIsOpen(!isOpen)}
      />
      {isOpen && <Packages key={buildId} {...props} warns />}
    </Section>
  );
}

/** The packages themselves; `warns`: of departed ones, too. */
export function Packages(props: IPackagesProps & { readonly warns?: boolean }): JSX.Element {
  const { api, buildId, trans, warns } = props;
  const packages = React.useMemo(() => new BuildPackages(api, buildId), [api, buildId]);
  const [search, setSearch] = React.useState('');
  useSignal(packages.changed);
  React.useEffect(() => {
    if (warns) {
      void packages.checkDeparted();
    }
  }, [packages, warns]);
  React.useEffect(() => {
    const timer = setTimeout(() => void packages.find(search), search ? TYPING : 0);
    return () => clearTimeout(timer);
  }, [packages, search]);
  const label = trans.__('Search its packages');
  return (
    <div className="csh-Packages">
      {warns && <Departed packages={packages} trans={trans} />}
      <input
        className="jp-mod-styled"
        type="search"
        aria-label={label}
        placeholder={label}
        value={search}
        onChange={event => setSearch(event.target.value)}
      />
      {packages.problem && <Notice kind="bad">{packages.problem.message}</Notice>}
      <p role="status" className="csh-Dim">
        {sayCount(packages, trans)}
      </p>
      <PackageTable packages={packages} trans={trans} />
    </div>
  );
}

interface IPartProps {
  readonly packages: BuildPackages;
  readonly trans: TranslationBundle;
}

function Departed({ packages, trans }: IPartProps): JSX.Element {
  const warning = packages.departed && sayDeparted(packages.departed, trans);
  const unknown = sayUnknownDeparted(packages.departed, packages.departedProblem, trans);
  return (
    <>
      {warning && <Notice kind="warn">{warning}</Notice>}
      {unknown && <p className="csh-Dim">{unknown}</p>}
    </>
  );
}

function PackageTable({ packages, trans }: IPartProps): JSX.Element {
  const { count, isLoading, items } = packages;
  const shown = items ?? [];
  return (
    <div className="csh-Packages-list" tabIndex={0} role="region" aria-label={trans.__('Packages found')}>
      <table className="csh-Table">
        <thead>
          <tr>
            <th scope="col">{trans.__('Package')}</th>
            <th scope="col">{trans.__('Version')}</th>
            <th scope="col">{trans.__('Build')}</th>
            <th scope="col">{trans.__('From')}</th>
            <th scope="col">{trans.__('Why')}</th>
          </tr>
        </thead>
        <tbody>
          {shown.map(one => (
            <tr key={one.id}>
              <th scope="row">{one.name}</th>
              <td>{one.version}</td>
              <td>{one.build}</td>
              <td>{sayOrigin(one)}</td>
              <td>{sayWhy(one, trans)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {shown.length > 0 && shown.length < count && (
        <Button label={trans.__('Show more')} disabled={isLoading} onClick={() => packages.more()} />
      )}
    </div>
  );
}

function sayOrigin(one: Package): string {
  return one.manager === 'pip' ? 'pip' : String(one.channel['name'] ?? '');
}

function sayCount({ count, items, problem }: BuildPackages, trans: TranslationBundle): string {
  if (items === null) {
    return problem ? '' : trans.__('Loading…');
  }
  return items.length < count
    ? trans.__('%1 of %2 packages', items.length, count)
    : trans._n('%1 package', '%1 packages', count);
}
