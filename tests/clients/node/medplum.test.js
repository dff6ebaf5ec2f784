// @medplum/core against a running server.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';

import { MedplumClient } from '@medplum/core';

const base = new URL(process.env.ANAMNESIS_BASE);
const medplum = new MedplumClient({
  baseUrl: `${base.origin}/`,
  fhirUrlPath: base.pathname.slice(1),
  // What it has read is asked for again: the tests are about the server.
  cacheTime: 0,
});
const patient = (family, more = {}) => ({ resourceType: 'Patient', name: [{ family }], ...more });
const code = (wanted) => (error) => error.outcome?.issue?.[0]?.code === wanted;

test('create, read, update, patch, delete', async () => {
  const created = await medplum.createResource(patient('mp'));
  assert.equal(created.meta.versionId, '1');
  const updated = await medplum.updateResource({ ...created, active: true });
  assert.equal(updated.meta.versionId, '2');
  const patched = await medplum.patchResource('Patient', created.id, [{ op: 'replace', path: '/active', value: false }]);
  assert.deepEqual([patched.active, patched.meta.versionId], [false, '3']);
  assert.equal((await medplum.readResource('Patient', created.id)).active, false);
  assert.equal((await medplum.readVersion('Patient', created.id, '2')).active, true);
  assert.equal((await medplum.readHistory('Patient', created.id)).entry.length, 3);
  await medplum.deleteResource('Patient', created.id);
  await assert.rejects(medplum.readResource('Patient', created.id), code('deleted'));
});

test('conditional create', async () => {
  const value = randomUUID();
  const resource = patient('mp', { identifier: [{ system: 'urn:mp', value }] });
  const query = `identifier=urn:mp|${value}`;
  const created = await medplum.createResourceIfNoneExist(resource, query);
  const found = await medplum.createResourceIfNoneExist(resource, query);
  assert.equal(found.id, created.id);
  const upserted = await medplum.upsertResource({ ...resource, active: true }, query);
  assert.deepEqual([upserted.id, upserted.active], [created.id, true]);
});

test('search page by page', async () => {
  const family = `mp-${randomUUID()}`;
  for (let number = 0; number < 7; number += 1) {
    await medplum.createResource(patient(family));
  }
  const sizes = [];
  for await (const page of medplum.searchResourcePages('Patient', { family, _count: 3 })) {
    sizes.push(page.length);
  }
  assert.deepEqual(sizes, [3, 3, 1]);
  assert.equal((await medplum.search('Patient', { family, _total: 'accurate' })).total, 7);
});

test('bundles', async () => {
  const urn = `urn:uuid:${randomUUID()}`;
  const observation = { resourceType: 'Observation', status: 'final', code: { text: 'x' }, subject: { reference: urn } };
  const answer = await medplum.executeBatch({
    resourceType: 'Bundle',
    type: 'transaction',
    entry: [
      { fullUrl: urn, resource: patient('mp'), request: { method: 'POST', url: 'Patient' } },
      { resource: observation, request: { method: 'POST', url: 'Observation' } },
    ],
  });
  assert.deepEqual(answer.entry.map((one) => one.response.status.slice(0, 3)), ['201', '201']);
  assert.equal(answer.entry[1].resource.subject.reference, `Patient/${answer.entry[0].resource.id}`);
  const refused = medplum.executeBatch({
    resourceType: 'Bundle',
    type: 'transaction',
    entry: [{ resource: patient('mp', { gender: 'x' }), request: { method: 'POST', url: 'Patient' } }],
  });
  await assert.rejects(refused, code('code-invalid'));
});
