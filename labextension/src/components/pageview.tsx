/** What stands on the page of an environment. */
import type { TranslationBundle } from '@jupyterlab/translation';
import {
  buildIcon,
  closeIcon,
  copyIcon,
  deleteIcon,
  editIcon,
  notebookIcon,
  shareIcon
} from '@jupyterlab/ui-components';
import type { CommandRegistry } from '@lumino/commands';
import * as React from 'react';
import {
  type BuildSummary,
  COMMANDS,
  type Environment,
  fullName,
  isActive,
  type PackageDiff,
  type PackageVersion
} from '../tokens';
import type { EnvironmentView } from '../view';
import { sayNamespace, saySize, sayWhoShares } from '../words';
import { Badge, Button, IconButton, Notice, StatusBadge, useSignal, When } from './common';
import { Downloads } from './downloads';
import { LiveBuild } from './log';
import { PackagesSection } from './packages';
import { Share } from './share';

export interface IPageProps {
  readonly view: EnvironmentView;
  readonly commands: CommandRegistry;
  readonly trans: TranslationBundle;
}

interface IShownProps extends IPageProps {
  readonly environment: Environment;
}

export function PageView(props: IPageProps): JSX.Element {
  const { view, trans } = props;
  useSignal(view.changed);
  useSignal(view.model.changed);
  const { environment } = view;
  return (
    <div className="csh-PageView">
      {view.problem && <Problem {...props} />}
      {environment && !view.isGone && <Shown {...props} environment={environment} />}
      {!environment && !view.problem && <p className="csh-Hint">{trans.__('Loading…')}</p>}
    </div>
  );
}

function Problem({ commands, trans, view }: IPageProps): JSX.Element {
  const { namespace, name } = view.target;
  if (view.isGone) {
    return (
      <Notice kind="warn">
        <p>{trans.__('There is no environment %1/%2 any more, or you may not know of it.', namespace, name)}</p>
        {view.model.may('environment::delete', namespace) && (
          <Button
            label={trans.__('Bring it back')}
            onClick={async () => {
              await commands.execute(COMMANDS.restoreEnvironment, { namespace, name });
              await view.refresh();
            }}
          />
        )}
      </Notice>
    );
  }
  return (
    <Notice kind="warn">
      <p>{view.problem?.message}</p>
      <Button label={trans.__('Try again')} onClick={() => view.refresh()} />
    </Notice>
  );
}

function Shown(props: IShownProps): JSX.Element {
  const { environment, trans, view } = props;
  return (
    <>
      <Header {...props} />
      <States {...props} />
      {environment.description && <p className="csh-Description">{environment.description}</p>}
      <Active {...props} />
      {environment.current_build && (
        <PackagesSection api={view.model.api} buildId={environment.current_build.id} trans={trans} />
      )}
      <Section title={trans.__('Builds')}>
        <Builds {...props} />
      </Section>
      {view.detail && <DetailView {...props} />}
      <Section title={trans.__('Sharing')} id="csh-sharing">
        <Share model={view.model} environment={environment} trans={trans} />
      </Section>
    </>
  );
}

function Section(props: {
  readonly title: string;
  readonly id?: string;
  readonly children: React.ReactNode;
}): JSX.Element {
  return (
    <section className="csh-Section" aria-label={props.title} data-csh-section={props.id}>
      <h2>{props.title}</h2>
      {props.children}
    </section>
  );
}

function Header({ commands, environment, trans, view }: IShownProps): JSX.Element {
  const args = { ...view.target };
  const [namespace, name] = [args.namespace, args.name];
  const mayUpdate = view.model.may('environment::update', namespace, name);
  const mayDelete = view.model.may('environment::delete', namespace, name);
  const run = (id: string) => () => commands.execute(id, args);
  return (
    <div className="csh-PageView-header">
      <h1>
        <span className="csh-Dim">{sayNamespace(environment.namespace, trans)} / </span>
        {environment.name}
      </h1>
      <div className="csh-Buttons" role="toolbar" aria-label={trans.__('Actions')}>
        {view.model.kernels(args).length > 0 && (
          <Button accept icon={notebookIcon} label={trans.__('New notebook')} onClick={run(COMMANDS.openNotebook)} />
        )}
        {mayUpdate && commands.hasCommand(COMMANDS.editEnvironment) && (
          <Button icon={editIcon} label={trans.__('Edit')} onClick={run(COMMANDS.editEnvironment)} />
        )}
        {mayUpdate && <Button icon={buildIcon} label={trans.__('Rebuild')} onClick={run(COMMANDS.rebuild)} />}
        <Button icon={shareIcon} label={trans.__('Share')} onClick={run(COMMANDS.share)} />
        <Button icon={copyIcon} label={trans.__('Copy…')} onClick={run(COMMANDS.clone)} />
        {mayUpdate && <Button label={trans.__('Rename…')} onClick={run(COMMANDS.rename)} />}
        {mayDelete && (
          <Button icon={deleteIcon} label={trans.__('Delete')} onClick={run(COMMANDS.deleteEnvironment)} />
        )}
      </div>
    </div>
  );
}

/** What people should know before they wonder. */
function States({ commands, environment, trans, view }: IShownProps): JSX.Element {
  const { model, target } = view;
  const [latest] = view.builds;
  const isUsable = environment.current_build_id !== null;
  const mayUpdate = model.may('environment::update', target.namespace, target.name);
  // Not while something is built, which may be just that.
  const isQuiet = !isActive(latest?.status);
  const lacksKernel = isUsable && isQuiet && model.knowsKernels && model.kernels(target).length === 0;
  return (
    <>
      {!mayUpdate && (
        <Notice kind="info">
          {trans.__(
            'You may use this environment, not change it. The right to can be given by %1.',
            sayWhoShares(environment.namespace, trans)
          )}
        </Notice>
      )}
      {environment.watched_file && (
        <Notice kind="info">
          {trans.__('It follows the file %1: what is changed here lasts until that changes.', environment.watched_file)}
        </Notice>
      )}
      {latest?.status === 'QUEUED' && (
        <Notice kind="info">
          {trans.__('Build %1 waits: it is number %2 in the queue.', latest.id, latest.position ?? '?')}
        </Notice>
      )}
      {latest?.status === 'FAILED' && (
        <Notice kind="warn">
          <p>
            {isUsable
              ? trans.__('Build %1 failed; build %2 is still the active one.', latest.id, environment.current_build_id)
              : trans.__('Build %1 failed, so there is nothing to use yet.', latest.id)}
          </p>
          {latest.status_info && <p>{latest.status_info}</p>}
        </Notice>
      )}
      {lacksKernel && (
        <Notice kind="info">
          <p>{trans.__('No notebook can run in it: none of its packages brings a kernel.')}</p>
          {mayUpdate && (
            <Button
              accept
              label={trans.__('Add ipykernel and build')}
              onClick={() => commands.execute(COMMANDS.addKernel, { ...target })}
            />
          )}
        </Notice>
      )}
    </>
  );
}

function Active({ commands, environment, trans, view }: IShownProps): JSX.Element | null {
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

function Builds(props: IShownProps): JSX.Element {
  const { trans, view } = props;
  return (
    <>
      <table className="csh-Table">
        <thead>
          <tr>
            <th scope="col">{trans.__('Build')}</th>
            <th scope="col">{trans.__('State')}</th>
            <th scope="col">{trans.__('Asked for')}</th>
            <th scope="col">{trans.__('By')}</th>
            <th scope="col">{trans.__('Size')}</th>
            <th scope="col">{trans.__('Actions')}</th>
          </tr>
        </thead>
        <tbody>
          {view.builds.map((build, index) => (
            <BuildRow key={build.id} {...props} build={build} before={view.builds[index + 1] ?? null} />
          ))}
        </tbody>
      </table>
      {view.builds.length < view.count && (
        <Button label={trans.__('Show older ones (%1 in all)', view.count)} onClick={() => view.more()} />
      )}
    </>
  );
}

function BuildRow(
  props: IShownProps & { readonly build: BuildSummary; readonly before: BuildSummary | null }
): JSX.Element {
  const { before, build, commands, environment, trans, view } = props;
  const offers = view.offers(build);
  const args = { ...view.target, buildId: build.id };
  const isKept = build.status === 'COMPLETED' && !build.deleted_on;
  // With the active build, if that is another one: that is what a rollback changes.
  const active = environment.current_build_id;
  const other = active !== null && active !== build.id ? active : (before?.id ?? null);
  const words: Record<string, string> = {
    [COMMANDS.activateBuild]: trans.__('Activate'),
    [COMMANDS.togglePin]: build.pinned ? trans.__('Unpin') : trans.__('Pin'),
    [COMMANDS.cancelBuild]: trans.__('Cancel'),
    [COMMANDS.deleteBuild]: trans.__('Delete')
  };
  return (
    <tr className="csh-Build" data-csh-build={build.id} data-csh-offers={offers.join(' ')}>
      <th scope="row">
        <button type="button" className="csh-Link" onClick={() => view.openBuild(build.id)}>
          {trans.__('Build %1', build.id)}
        </button>
      </th>
      <td className="csh-Badges">
        <StatusBadge status={build.status} position={build.position ?? null} trans={trans} />
        {build.active && <Badge kind="ok">{trans.__('active')}</Badge>}
        {build.pinned && (
          <Badge kind="plain" title={trans.__('It is protected from being deleted.')}>
            {trans.__('pinned')}
          </Badge>
        )}
        {build.deleted_on && <Badge kind="plain">{trans.__('deleted')}</Badge>}
      </td>
      <td>
        <When time={build.scheduled_on} />
      </td>
      <td>{build.requested_by ?? ''}</td>
      <td>{build.size ? saySize(build.size) : ''}</td>
      <td className="csh-Buttons">
        {other !== null && build.status === 'COMPLETED' && (
          <Button
            label={trans.__('Compare')}
            title={trans.__('What changed from build %1 to build %2', other, build.id)}
            onClick={() => view.openDiff(build.id, other)}
          />
        )}
        {isKept && commands.hasCommand(COMMANDS.keepInBuild) && commands.isEnabled(COMMANDS.keepInBuild, args) && (
          <Button
            label={trans.__('Keep notebook here')}
            title={trans.__('The notebook that you work in runs in build %1 from then on', build.id)}
            onClick={() => commands.execute(COMMANDS.keepInBuild, args)}
          />
        )}
        {offers.map(id => (
          <Button
            key={id}
            label={words[id]!}
            onClick={async () => {
              await commands.execute(id, args);
              await view.refresh();
            }}
          />
        ))}
      </td>
    </tr>
  );
}

function DetailView(props: IShownProps): JSX.Element | null {
  const { commands, trans, view } = props;
  const { detail } = view;
  const node = React.useRef<HTMLDivElement>(null);
  const shown = detail && `${detail.kind} ${detail.buildId}`;
  React.useEffect(() => node.current?.scrollIntoView({ block: 'nearest' }), [shown]);
  const onTurn = React.useCallback(() => void view.refresh(), [view]);
  const close = (
    <IconButton icon={closeIcon} label={trans.__('Close')} onClick={() => view.closeDetail()} />
  );
  if (!detail) {
    return null;
  }
  if (detail.kind === 'diff') {
    const title = trans.__('What changed from build %1 to build %2', detail.other, detail.buildId);
    return (
      <div className="csh-Detail" ref={node}>
        {close}
        <Section title={title}>{detail.diff && <Diff diff={detail.diff} trans={trans} />}</Section>
      </div>
    );
  }
  const { namespace, name } = view.target;
  const offered = detail.build && isActive(detail.build.status) && view.model.may('build::cancel', namespace, name);
  return (
    <div className="csh-Detail" ref={node}>
      {close}
      <LiveBuild
        api={view.model.api}
        buildId={detail.buildId}
        build={detail.build}
        commands={commands}
        mayCancel={Boolean(offered)}
        onTurn={onTurn}
        trans={trans}
      />
    </div>
  );
}

/** What two builds have differently. */
export function Diff({ diff, trans }: { readonly diff: PackageDiff; readonly trans: TranslationBundle }): JSX.Element {
  const count = diff.added.length + diff.removed.length + diff.changed.length;
  if (count === 0) {
    return <p className="csh-Hint">{trans.__('Nothing: they have the same packages.')}</p>;
  }
  return (
    <>
      <table className="csh-Table csh-Diff">
        <thead>
          <tr>
            <th scope="col">{trans.__('Package')}</th>
            <th scope="col">{trans.__('Before')}</th>
            <th scope="col">{trans.__('After')}</th>
          </tr>
        </thead>
        <tbody>
          {diff.changed.map(one => (
            <DiffRow key={`c ${key(one.new)}`} kind="changed" before={one.old} after={one.new} />
          ))}
          {diff.added.map(one => (
            <DiffRow key={`a ${key(one)}`} kind="added" before={null} after={one} />
          ))}
          {diff.removed.map(one => (
            <DiffRow key={`r ${key(one)}`} kind="removed" before={one} after={null} />
          ))}
        </tbody>
      </table>
      <p className="csh-Hint">
        {trans._n('%1 package is the same in both.', '%1 packages are the same in both.', diff.unchanged)}
      </p>
    </>
  );
}

function DiffRow(props: {
  readonly kind: string;
  readonly before: PackageVersion | null;
  readonly after: PackageVersion | null;
}): JSX.Element {
  const { after, before, kind } = props;
  const one = (after ?? before)!;
  // Another build of the same version is a change, too.
  const isSame = after !== null && before !== null && after.version === before.version;
  const say = (side: PackageVersion | null) => (side ? (isSame ? `${side.version} ${side.build}` : side.version) : '–');
  return (
    <tr className={`csh-mod-${kind}`}>
      <th scope="row">
        {one.name} {one.manager === 'pip' && <span className="csh-Dim">pip</span>}
      </th>
      <td>{say(before)}</td>
      <td>{say(after)}</td>
    </tr>
  );
}

function key(one: PackageVersion): string {
  return `${one.manager} ${one.name}`;
}

/** What the tab of a page is called. */
export function titleOf(view: EnvironmentView): string {
  return view.environment ? fullName(view.environment) : `${view.target.namespace}/${view.target.name}`;
}
